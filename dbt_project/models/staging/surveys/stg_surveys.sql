with deduplicated as (
  {{ one_per_key(
    "surveys",
    ["response_id", "user_id", "account_id", "responded_at", "kind", "score", "comment"]
  ) }}
)

select
  response_id,
  user_id,
  account_id,
  responded_at,
  kind,
  score,
  comment,
  {{ local_date('responded_at') }} as responded_date,
  arrived_date,
  landed_date
from deduplicated
