with deduplicated as (
  {{ one_per_key(
    source("lake", "erasures"),
    ["user_id"],
    ["user_id", "requested_at"]
  ) }}
)

select
  user_id,
  requested_at,
  {{ local_date('requested_at') }} as requested_date,
  arrived_date
from deduplicated
