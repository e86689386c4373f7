with deduplicated as (
  {{ one_per_key(
    source("lake", "exposures"),
    ["experiment_id", "unit_id"],
    ["experiment_id", "variant", "unit_id", "exposed_at"]
  ) }}
)

select
  experiment_id,
  variant,
  unit_id,
  exposed_at,
  {{ local_date('exposed_at') }} as exposed_date,
  arrived_date
from deduplicated
