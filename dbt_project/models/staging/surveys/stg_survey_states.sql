with known as (
  {{ known_states(
    "surveys",
    ["response_id", "user_id", "account_id", "responded_at", "kind", "score"]
  ) }}
)

select
  response_id,
  user_id,
  account_id,
  responded_at,
  kind,
  score,
  {{ local_date('responded_at') }} as responded_date,
  arrived_date,
  known_until
from known
