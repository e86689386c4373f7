with known as (
  {{ known_states(
    "outcomes",
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
  arrived_date,
  known_until
from known
