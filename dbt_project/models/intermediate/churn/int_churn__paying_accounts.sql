with rates as (
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
  subscriptions.as_of_date,
  subscriptions.account_id,
  cast(sum(cast(subscriptions.mrr as decimal(20, 4)) * case when subscriptions.currency = 'USD' then 1 else rates.usd_rate end) as decimal(18, 2)) as mrr_usd,
  count(*) - count(case when subscriptions.currency = 'USD' then 1 else rates.usd_rate end) as unconverted_count,
  max(case when subscriptions.status = 'past_due' then 1 else 0 end) as is_past_due,
  max(case when subscriptions.billing_interval = 'year' then 1 else 0 end) as is_annual,
  min({{ local_date("subscriptions.renews_at") }}) as renews_date,
  sum(subscriptions.seats) as seats,
  min(subscriptions.first_paying_date) as first_paying_date
from {{ ref("int_churn__subscriptions") }} as subscriptions
left join rates
  on subscriptions.as_of_date = rates.as_of_date and subscriptions.currency = rates.currency and rates.rate_number = 1
where subscriptions.is_paying
group by subscriptions.as_of_date, subscriptions.account_id
