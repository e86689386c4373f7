-- The same day decides as where the amounts are converted; a subscription's is that of the change.
with facts as (
  select 'orders' as source, currency, ordered_date as fact_date
  from {{ ref("stg_orders") }}

  union all

  select 'payments' as source, currency, paid_date as fact_date
  from {{ ref("stg_payments") }}

  union all

  select 'ad_spend' as source, currency, spend_date as fact_date
  from {{ ref("stg_ad_spend") }}

  union all

  select 'subscriptions' as source, currency, changed_date as fact_date
  from {{ ref("stg_subscriptions") }}
  where mrr > 0
),

days as (
  select
    facts.source,
    facts.currency,
    facts.fact_date,
    count(*) as row_count
  from facts
  cross join {{ source("control", "run") }} as run
  where facts.currency <> '{{ var("reporting_currency") }}' and facts.fact_date <= run.data_through
  group by facts.source, facts.currency, facts.fact_date
),

converted as (
  select
    days.source,
    days.currency,
    days.fact_date,
    days.row_count,
    {{ in_reporting_currency("1", "days.currency") }} as rate
  from days
  {{ fx_joins("days.currency", "days.fact_date") }}
)

select
  source,
  currency,
  min(fact_date) as first_date,
  cast(sum(row_count) as bigint) as row_count
from converted
where rate is null
group by source, currency
