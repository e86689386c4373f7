with deduplicated as (
  {{ one_per_key(
    source("lake", "outcomes"),
    ["account_id", "measured_at"],
    ["account_id", "measured_at", "expected_roi", "actual_roi", "efficiency_gain", "cost_savings", "currency"]
  ) }}
)

select
  account_id,
  measured_at,
  expected_roi,
  actual_roi,
  efficiency_gain,
  cost_savings,
  currency,
  {{ local_date('measured_at') }} as measured_date,
  arrived_date
from deduplicated
