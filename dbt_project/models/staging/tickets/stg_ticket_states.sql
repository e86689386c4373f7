with known as (
  {{ known_states(
    "tickets",
    ["ticket_id", "account_id", "user_id", "opened_at", "first_response_at", "resolved_at", "contacts", "severity"]
  ) }}
)

select
  ticket_id,
  account_id,
  user_id,
  opened_at,
  first_response_at,
  resolved_at,
  contacts,
  severity,
  {{ local_date('opened_at') }} as opened_date,
  arrived_date,
  known_until
from known
