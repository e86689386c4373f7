with landed as (
  {{ ad_spend_rows() }}
)

-- Amounts in two currencies do not add up: of one state each currency is a row of its own.
select
  spend_date,
  utm_source,
  utm_medium,
  utm_campaign,
  utm_content,
  ad_id,
  cast(sum(cost) as decimal(18, 4)) as cost,
  currency,
  cast(sum(impressions) as bigint) as impressions,
  cast(sum(clicks) as bigint) as clicks,
  count(*) as row_count,
  min(first_arrived_date) as arrived_date,
  max(arrived_date) as landed_date
from landed
where is_counted
group by spend_date, utm_source, utm_medium, utm_campaign, utm_content, ad_id, currency
