with days as (
  {{ calendar() | indent(2) }}
),

months as (
  select distinct
    {{ period_start("month", "calendar_date") }} as month,
    least({{ period_last_day("month", period_start("month", "calendar_date"), 0) }}, {{ data_through() }}) as last_date
  from days
  where calendar_date <= {{ data_through() }}
),

-- Of subscriptions that are equally large the smallest id names the plan.
subscriptions as (
  select
    account_id,
    subscription_id,
    plan,
    mrr,
    -mrr as descending_mrr,
    from_date,
    through_date
  from {{ ref("int_money__paying_states") }}
),

accounts as (
  select
    subscriptions.account_id,
    months.month,
    cast(sum(subscriptions.mrr) as decimal(18, 2)) as mrr,
    {{ smallest_row(["descending_mrr", "subscription_id", "plan"]) }} as largest
  from subscriptions
  inner join months on months.last_date between subscriptions.from_date and subscriptions.through_date
  group by subscriptions.account_id, months.month
)

select
  account_id,
  month,
  mrr,
  {{ field("largest", "plan") }} as plan
from accounts
where mrr > 0
