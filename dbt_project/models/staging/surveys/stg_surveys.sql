with deduplicated as (
  {{ one_per_key(
    source("lake", "surveys"),
    ["response_id"],
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
  arrived_date
from deduplicated
