{{ of_customers(
  ref("stg_feedback"),
  [
    "feedback_id",
    "account_id",
    "user_id",
    "created_at",
    "created_date",
    "answered_at",
  ],
  "created_date"
) }}
