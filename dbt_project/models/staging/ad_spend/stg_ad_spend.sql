with deduplicated as (
  {{ one_per_key(
    source("lake", "ad_spend"),
    ["spend_date", "utm_source", "coalesce(utm_medium, '')", "coalesce(utm_campaign, '')"],
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
  arrived_date
from deduplicated
