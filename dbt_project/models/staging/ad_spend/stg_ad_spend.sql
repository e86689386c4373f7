with deduplicated as (
  {{ one_per_key(
    "ad_spend",
    ["spend_date", "utm_source", "utm_medium", "utm_campaign", "cost", "currency", "impressions", "clicks"]
  ) }}
)

select
  spend_date,
  utm_source,
  utm_medium,
  utm_campaign,
  cost,
  currency,
  impressions,
  clicks,
  arrived_date,
  landed_date
from deduplicated
