-- A rate of 0 stands for none; ingest refuses it, lakes from before that may hold one.
with rates as (
  select
    dates.as_of_date,
    fx.currency,
    fx.usd_rate,
    row_number() over (partition by dates.as_of_date, fx.currency order by fx.rate_date desc) as rate_number
  from {{ ref("int_accounts__as_of_dates") }} as dates
  inner join {{ ref("stg_fx_rates") }} as fx
    on fx.rate_date <= dates.as_of_date and fx.arrived_date <= dates.as_of_date
  where fx.currency <> 'USD' and fx.usd_rate > 0
),

known as (
  select as_of_date, currency, usd_rate
  from rates
  where rate_number = 1

  union all

  select as_of_date, 'USD' as currency, 1 as usd_rate
  from {{ ref("int_accounts__as_of_dates") }}
),

reporting as (
  select as_of_date
  from known
  where currency = '{{ var("reporting_currency") }}'
)

select known.as_of_date, known.currency, known.usd_rate
from known
inner join reporting on known.as_of_date = reporting.as_of_date

union all

select dates.as_of_date, '{{ var("reporting_currency") }}' as currency, 1 as usd_rate
from {{ ref("int_accounts__as_of_dates") }} as dates
left join reporting on dates.as_of_date = reporting.as_of_date
where reporting.as_of_date is null
