-- Subscriptions as they were known on each day: only changes that had happened and had arrived by then.
with changes as (
  select
    dates.as_of_date,
    subscriptions.*,
    row_number() over (
      partition by dates.as_of_date, subscriptions.subscription_id
      order by subscriptions.changed_at desc
    ) as change_number,
    min(case when subscriptions.status in ('active', 'past_due') and subscriptions.mrr > 0 then subscriptions.changed_date end) over (
      partition by dates.as_of_date, subscriptions.account_id
    ) as first_paying_date
  from {{ ref("int_churn__as_of_dates") }} as dates
  inner join {{ ref("stg_subscriptions") }} as subscriptions
    on subscriptions.changed_date <= dates.as_of_date and subscriptions.arrived_date <= dates.as_of_date
),

rates as (
  select
    dates.as_of_date,
    fx.currency,
    fx.usd_rate,
    row_number() over (partition by dates.as_of_date, fx.currency order by fx.rate_date desc) as rate_number
  from {{ ref("int_churn__as_of_dates") }} as dates
  inner join {{ ref("stg_fx_rates") }} as fx
    on fx.rate_date <= dates.as_of_date and fx.arrived_date <= dates.as_of_date
)

select
  changes.as_of_date,
  changes.account_id,
  cast(sum(cast(changes.mrr as decimal(20, 4)) * case when changes.currency = 'USD' then 1 else rates.usd_rate end) as decimal(18, 2)) as mrr_usd,
  count(*) - count(case when changes.currency = 'USD' then 1 else rates.usd_rate end) as unconverted_count,
  max(case when changes.status = 'past_due' then 1 else 0 end) as is_past_due,
  max(case when changes.billing_interval = 'year' then 1 else 0 end) as is_annual,
  min({{ local_date("changes.renews_at") }}) as renews_date,
  sum(changes.seats) as seats,
  min(changes.first_paying_date) as first_paying_date
from changes
left join rates
  on changes.as_of_date = rates.as_of_date and changes.currency = rates.currency and rates.rate_number = 1
where changes.change_number = 1 and changes.status in ('active', 'past_due') and changes.mrr > 0
group by changes.as_of_date, changes.account_id
