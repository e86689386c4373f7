-- What cannot be converted on the day is left out, as it is left out of the monthly recurring revenue.
select
  subscriptions.as_of_date,
  subscriptions.account_id,
  cast(sum(cast(subscriptions.mrr as decimal(20, 4)) * rates.usd_rate) as decimal(18, 2)) as mrr_usd,
  cast(sum(cast(subscriptions.mrr as decimal(20, 4)) * rates.usd_rate) / min(reporting_rates.usd_rate) as decimal(18, 2)) as mrr,
  max(case when subscriptions.status = 'past_due' then 1 else 0 end) as is_past_due,
  max(case when subscriptions.billing_interval = 'year' then 1 else 0 end) as is_annual,
  min({{ local_date("subscriptions.renews_at") }}) as renews_date,
  sum(subscriptions.seats) as seats,
  min(subscriptions.first_paying_date) as first_paying_date
from {{ ref("int_accounts__subscriptions") }} as subscriptions
inner join {{ ref("int_churn__rates") }} as rates
  on subscriptions.as_of_date = rates.as_of_date and subscriptions.currency = rates.currency
inner join {{ ref("int_churn__rates") }} as reporting_rates
  on subscriptions.as_of_date = reporting_rates.as_of_date and reporting_rates.currency = '{{ var("reporting_currency") }}'
where subscriptions.is_paying
group by subscriptions.as_of_date, subscriptions.account_id
