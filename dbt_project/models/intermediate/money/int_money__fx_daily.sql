with days as (
  {{ calendar() | indent(2) }}
),

rates as (
  select
    rate_date,
    currency,
    usd_rate
  from {{ ref("stg_fx_rates") }}
  -- A rate of 0 stands for none; ingest refuses it, lakes from before that may hold one.
  where usd_rate > 0
),

currencies as (
  select
    currency,
    min(rate_date) as first_date
  from rates
  group by currency
),

-- The last rate known before a day holds on it; before the first there is none.
spine as (
  select
    days.calendar_date,
    currencies.currency,
    max(rates.rate_date) over (
      partition by currencies.currency order by days.calendar_date rows between unbounded preceding and current row
    ) as rate_date
  from currencies
  inner join days on days.calendar_date >= currencies.first_date
  left join rates on currencies.currency = rates.currency and days.calendar_date = rates.rate_date
)

select
  spine.calendar_date,
  spine.currency,
  rates.usd_rate
from spine
inner join rates on spine.currency = rates.currency and spine.rate_date = rates.rate_date
where spine.currency <> 'USD'

union all

select
  calendar_date,
  'USD' as currency,
  1 as usd_rate
from days
