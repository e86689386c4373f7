with deduplicated as (
  {{ one_per_key(
    "exposures",
    ["experiment_id", "variant", "unit_id", "exposed_at"]
  ) }}
)

select
  experiment_id,
  variant,
  unit_id,
  exposed_at,
  {{ local_date('exposed_at') }} as exposed_date,
  arrived_date,
  landed_date
from deduplicated
