with deduplicated as (
  {{ one_per_key(
    "erasures",
    ["user_id", "requested_at"]
  ) }}
)

select
  user_id,
  requested_at,
  {{ local_date('requested_at') }} as requested_date,
  arrived_date,
  landed_date
from deduplicated
