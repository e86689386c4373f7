with labels as (
  select * from {{ ref("int_churn__labels") }}
),

scores as (
  select * from {{ ref("int_health__scores") }}
),

closed as (
  select max(as_of_date) as last_date
  from labels
),

-- The as-of dates of the last year whose 30 days are over, and the accounts that paid on them.
lights as (
  select
    scores.light,
    count(*) as account_count,
    sum(labels.churned) as churned_count
  from labels
  inner join scores on labels.as_of_date = scores.as_of_date and labels.account_id = scores.account_id
  cross join closed
  where labels.as_of_date > {{ days_after("closed.last_date", -365) }} and scores.light is not null
  group by scores.light
),

-- Counts are 0, not NULL, when no account has a light.
rates as (
  select
    coalesce(max(case when light = 'red' then account_count end), 0) as red_count,
    coalesce(max(case when light = 'amber' then account_count end), 0) as amber_count,
    coalesce(max(case when light = 'green' then account_count end), 0) as green_count,
    max(case when light = 'red' then churned_count / account_count end) as red_churn_rate,
    max(case when light = 'amber' then churned_count / account_count end) as amber_churn_rate,
    max(case when light = 'green' then churned_count / account_count end) as green_churn_rate
  from lights
)

select
  closed.last_date as last_as_of_date,
  rates.red_count,
  rates.amber_count,
  rates.green_count,
  rates.red_churn_rate,
  rates.amber_churn_rate,
  rates.green_churn_rate,
  case
    when least(rates.red_count, rates.amber_count, rates.green_count) < 100 then 'too few accounts'
    when rates.red_churn_rate > rates.amber_churn_rate and rates.amber_churn_rate > rates.green_churn_rate then 'falls'
    else 'does not fall'
  end as verdict
from rates
cross join closed
where closed.last_date is not null
