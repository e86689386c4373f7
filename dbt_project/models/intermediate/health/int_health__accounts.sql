with subscriptions as (
  select * from {{ ref("int_accounts__subscriptions") }}
),

as_of_dates as (
  select * from {{ ref("int_accounts__as_of_dates") }}
),

accounts as (
  select
    as_of_date,
    account_id,
    max(case when is_paying then 1 else 0 end) = 1 as is_paying,
    max(case when is_paying and billing_interval = 'year' then 1 else 0 end) = 1 as is_annual,
    min(case when is_paying then {{ local_date("renews_at") }} end) as renews_date,
    min(case when is_paying then first_paying_date end) as first_paying_date
  from subscriptions
  where is_paying or is_trial
  group by as_of_date, account_id
)

select
  accounts.as_of_date,
  accounts.account_id,
  as_of_dates.is_current,
  accounts.is_paying,
  accounts.is_annual,
  accounts.first_paying_date,
  {{ periods_between("day", "accounts.first_paying_date", "accounts.as_of_date") }} as tenure_days,
  {{ periods_between("day", "accounts.as_of_date", "accounts.renews_date") }} as days_to_renewal
from accounts
inner join as_of_dates on accounts.as_of_date = as_of_dates.as_of_date
