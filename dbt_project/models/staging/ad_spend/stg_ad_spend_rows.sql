{%- set key = landing_keys()["ad_spend"]["key"] | join(", ") %}
-- What one file says of a key at one time is one state, in as many rows as differ: the ads that the file has no id for.
with ranked as (
  select
    *,
    min(arrived_date) over (partition by {{ key }}) as first_arrived_date,
    dense_rank() over (
      partition by {{ key }}
      order by
        coalesce(updated_at, cast(arrived_date as timestamp)) desc,
        arrived_date desc,
        coalesce(landed_ns, 0) desc,
        landed_file desc
    ) as state_number,
    row_number() over (
      partition by
        {{ key }}, updated_at, arrived_date, landed_file, cost, currency, impressions, clicks, cast(extra as varchar)
      order by landed_row
    ) as repeat_number
  from ({{ landed_rows("ad_spend") }}) as landed
)

select
  spend_date,
  utm_source,
  utm_medium,
  utm_campaign,
  utm_content,
  ad_id,
  cost,
  currency,
  impressions,
  clicks,
  first_arrived_date,
  arrived_date,
  landed_file,
  landed_row,
  state_number = 1 and repeat_number = 1 as is_counted
from ranked
