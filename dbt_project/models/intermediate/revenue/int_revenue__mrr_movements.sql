with account_months as (
  select * from {{ ref("int_money__account_months") }}
),

accounts as (
  select * from {{ ref("dim_accounts") }}
),

paying as (
  select
    *,
    min(month) over (partition by account_id) as first_month
  from account_months
),

opening as (
  select
    account_id,
    mrr,
    plan,
    {{ days_after(period_last_day("month", "month", 0), 1) }} as month
  from account_months
),

months as (
  select
    coalesce(paying.account_id, opening.account_id) as account_id,
    coalesce(paying.month, opening.month) as month,
    opening.plan as opening_plan,
    coalesce(paying.plan, opening.plan) as plan,
    coalesce(opening.mrr, 0) as opening_mrr,
    coalesce(paying.mrr, 0) as closing_mrr,
    paying.month = paying.first_month as is_first
  from paying
  full outer join opening on paying.account_id = opening.account_id and paying.month = opening.month
)

select
  months.account_id,
  months.month,
  months.opening_plan,
  months.plan,
  accounts.channel,
  accounts.country,
  accounts.industry,
  months.opening_mrr,
  months.closing_mrr,
  case
    when months.is_first then 'new'
    when months.opening_mrr = 0 then 'reactivation'
    when months.closing_mrr = 0 then 'churned'
    when months.closing_mrr > months.opening_mrr then 'expansion'
    when months.closing_mrr < months.opening_mrr then 'contraction'
    else 'unchanged'
  end as movement
from months
inner join accounts on months.account_id = accounts.account_id
-- What is paid in the running month opens one that has not begun.
where months.month <= {{ data_through() }}
