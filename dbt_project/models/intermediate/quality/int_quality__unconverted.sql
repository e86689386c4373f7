-- The same day decides as where the amounts are converted; of a subscription that pays it is that of the change, and what has no rate on
-- it counts from the first day with one.
with facts as (
  select 'orders' as source, currency, ordered_date as fact_date, amount
  from {{ ref("stg_orders") }}

  union all

  select 'payments' as source, currency, paid_date as fact_date, amount
  from {{ ref("stg_payments") }}

  union all

  select 'ad_spend' as source, currency, spend_date as fact_date, cost as amount
  from {{ ref("stg_ad_spend") }}

  union all

  select 'subscriptions' as source, currency, changed_date as fact_date, mrr as amount
  from {{ ref("stg_subscriptions") }}
  where status in ('active', 'past_due') and mrr > 0
),

foreign_facts as (
  select *
  from facts
  where currency <> '{{ var("reporting_currency") }}' and fact_date <= {{ data_through() }}
),

converted as (
  select
    foreign_facts.source,
    foreign_facts.currency,
    foreign_facts.fact_date,
    {{ in_reporting_currency("foreign_facts.amount", "foreign_facts.currency") }} as amount
  from foreign_facts
  {{ fx_joins("foreign_facts.currency", "foreign_facts.fact_date") }}
)

select
  source,
  currency,
  min(fact_date) as first_date,
  count(*) as row_count
from converted
where amount is null
group by source, currency
