with others as (
  select
    *,
    max(through_date) over (
      partition by account_id, currency
      order by from_date, subscription_id
      rows between unbounded preceding and 1 preceding
    ) as paid_through_before
  from {{ ref("int_money__paying_spans") }}
),

stretches as (
  select
    *,
    sum(case when {{ period_start("month", "from_date") }} <= {{ period_start("month", days_after("paid_through_before", 1)) }} then 0 else 1 end) over (
      partition by account_id, currency
      order by from_date, subscription_id
      rows unbounded preceding
    ) as stretch_number
  from others
),

-- From this day on a currency can be converted.
known as (
  select fact_rate.currency, min(fact_rate.calendar_date) as first_date
  from {{ ref("int_money__fx_daily") }} as fact_rate
  inner join {{ ref("int_money__fx_daily") }} as reporting_rate
    on fact_rate.calendar_date = reporting_rate.calendar_date and reporting_rate.currency = '{{ var("reporting_currency") }}'
  where fact_rate.currency <> '{{ var("reporting_currency") }}'
  group by fact_rate.currency
),

-- As long as an account pays in one currency at the ends of months, by whatever subscriptions, it keeps the rate of the day on which that
-- began (or of the first day with a rate): renewals, upgrades, downgrades, pauses and replaced subscriptions then move the revenue as far
-- as the customer moved it, and no exchange rate looks like one of them.
rated as (
  select
    stretches.*,
    greatest(
      min(stretches.from_date) over (partition by stretches.account_id, stretches.currency, stretches.stretch_number),
      known.first_date
    ) as rated_date
  from stretches
  left join known on stretches.currency = known.currency
),

converted as (
  select
    rated.*,
    {{ in_reporting_currency("rated.mrr", "rated.currency") }} as reporting_mrr
  from rated
  {{ fx_joins("rated.currency", "rated.rated_date") }}
)

-- Before there is a rate an amount is unknown, and left out: `int_quality__unconverted` counts it.
select
  subscription_id,
  account_id,
  plan,
  reporting_mrr as mrr,
  greatest(from_date, rated_date) as from_date,
  through_date,
  {{ local_date("renews_at") }} as renews_date
from converted
where reporting_mrr is not null and rated_date <= through_date
