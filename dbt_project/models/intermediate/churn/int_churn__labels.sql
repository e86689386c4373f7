-- Labels look ahead on purpose: whether the account still pays when the 30 days after the as-of date are over, by all that is known.
with accounts as (
  select
    as_of_date,
    account_id
  from {{ ref("int_churn__paying_accounts") }}
  where {{ days_after("as_of_date", 30) }} <= {{ data_through() }}
),

changes as (
  select
    accounts.as_of_date,
    accounts.account_id,
    subscriptions.status,
    subscriptions.mrr,
    row_number() over (
      partition by accounts.as_of_date, subscriptions.subscription_id
      order by subscriptions.changed_at desc
    ) as change_number
  from accounts
  inner join {{ ref("stg_subscriptions") }} as subscriptions
    on
      accounts.account_id = subscriptions.account_id
      and subscriptions.changed_date <= {{ days_after("accounts.as_of_date", 30) }}
)

select
  as_of_date,
  account_id,
  min(case when status in ('active', 'past_due') and mrr > 0 then 0 else 1 end) as churned
from changes
where change_number = 1
group by as_of_date, account_id
