with ad_spend as (
  select * from {{ ref("stg_ad_spend") }}
  where spend_date <= {{ data_through() }}
),

channels as (
  select * from {{ ref("int_identity__channels") }}
),

converted as (
  select
    ad_spend.spend_date,
    ad_spend.utm_source,
    ad_spend.utm_medium,
    ad_spend.utm_campaign,
    ad_spend.utm_content,
    ad_spend.ad_id,
    channels.channel,
    ad_spend.currency as landed_currency,
    ad_spend.cost as landed_cost,
    {{ in_reporting_currency("ad_spend.cost", "ad_spend.currency") }} as cost,
    ad_spend.impressions,
    ad_spend.clicks,
    ad_spend.arrived_date,
    ad_spend.landed_date
  from ad_spend
  left join channels
    on
      ad_spend.utm_source is not distinct from channels.utm_source
      and ad_spend.utm_medium is not distinct from channels.utm_medium
      and channels.referrer is null
      and channels.click_id is null
  {{ fx_joins("ad_spend.currency", "ad_spend.spend_date") }}
)

-- Without a rate an amount is unknown, and the fact left out: `int_quality__unconverted` counts it.
select
  spend_date,
  utm_source,
  utm_medium,
  utm_campaign,
  utm_content,
  ad_id,
  channel,
  landed_currency,
  landed_cost,
  cost,
  impressions,
  clicks,
  arrived_date,
  landed_date
from converted
where cost is not null
