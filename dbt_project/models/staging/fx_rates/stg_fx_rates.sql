with deduplicated as (
  {{ one_per_key(
    source("lake", "fx_rates"),
    ["rate_date", "currency"],
    ["rate_date", "currency", "usd_rate"]
  ) }}
)

select
  rate_date,
  currency,
  usd_rate,
  arrived_date
from deduplicated
