with deduplicated as (
  {{ one_per_key(
    source("lake", "tickets"),
    ["ticket_id"],
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
  arrived_date
from deduplicated
