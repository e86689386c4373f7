{{ of_customers(
  ref("stg_tickets"),
  [
    "ticket_id",
    "account_id",
    "user_id",
    "opened_at",
    "opened_date",
    "first_response_at",
    "resolved_at",
    "contacts",
    "severity",
  ],
  "opened_date"
) }}
