-- Facts and rates may be older than the first day on which anything arrived.
with oldest as ( -- noqa: ST03
  select least(
    date '{{ var("partition_start") }}',
    (select min(signed_up_date) from {{ ref("stg_users") }}),
    (select min(changed_date) from {{ ref("stg_subscriptions") }}),
    (select min(paid_date) from {{ ref("stg_payments") }}),
    (select min(ordered_date) from {{ ref("stg_orders") }}),
    (select min(spend_date) from {{ ref("stg_ad_spend") }}),
    (select min(rate_date) from {{ ref("stg_fx_rates") }})
  ) as first_date
),

days as (
  {{ calendar_days("(select first_date from oldest)", "(select data_through + 366 from " ~ source("control", "run") ~ ")") }}
)

select
  calendar_date,
  {{ period_start("week", "calendar_date") }} as week_start_date,
  {{ period_start("month", "calendar_date") }} as month_start_date,
  {{ period_start("quarter", "calendar_date") }} as quarter_start_date,
  {{ period_start("year", "calendar_date") }} as year_start_date,
  extract(isodow from calendar_date) as iso_weekday
from days
