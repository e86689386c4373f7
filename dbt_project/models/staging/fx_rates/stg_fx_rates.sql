with deduplicated as (
  {{ one_per_key(
    "fx_rates",
    ["rate_date", "currency", "usd_rate"]
  ) }}
)

select
  rate_date,
  currency,
  usd_rate,
  arrived_date,
  landed_date
from deduplicated
