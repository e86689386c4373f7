{{ of_customers(
  ref("stg_surveys"),
  [
    "response_id",
    "account_id",
    "user_id",
    "responded_at",
    "responded_date",
    "kind",
    "score",
  ],
  "responded_date"
) }}
