with account_months as (
  select * from {{ ref("int_money__account_months") }}
),

customer_amounts as (
  select * from {{ ref("fct_customer_amounts") }}
),

orders as (
  select * from {{ ref("fct_orders") }}
  where is_purchase and amount is not null
),

persons as (
  select * from {{ ref("dim_persons") }}
),

accounts as (
  select * from {{ ref("dim_accounts") }}
),

core_months as (
  select distinct
    account_id,
    {{ period_start("month", "event_date") }} as month
  from {{ ref("fct_account_days") }}
  where core_event_count > 0
),

paying as (
  select
    account_months.month,
    accounts.channel,
    accounts.country,
    case when core_months.account_id is null then 0 else 1 end as is_core_user
  from account_months
  inner join accounts on account_months.account_id = accounts.account_id
  left join core_months on account_months.account_id = core_months.account_id and account_months.month = core_months.month
),

-- A refund may be all that is known of somebody, who then is no customer but a person or an account nevertheless.
amounts as (
  select
    customer_amounts.cash_date,
    coalesce(persons.channel, accounts.channel) as channel,
    coalesce(persons.country, accounts.country) as country,
    customer_amounts.revenue
  from customer_amounts
  left join persons on customer_amounts.customer_id = persons.person_id
  left join accounts on customer_amounts.customer_id = 'c:' || accounts.account_id
),

purchases as (
  select
    orders.ordered_date,
    persons.channel,
    persons.country,
    orders.amount
  from orders
  inner join persons on orders.person_id = persons.person_id
)

select 'mapu' as metric, month as measured_date, channel, country, is_core_user as numerator, null as denominator
from paying

union all

select 'paying_accounts' as metric, month as measured_date, channel, country, 1 as numerator, null as denominator
from paying

union all

select 'core_use_rate' as metric, month as measured_date, channel, country, is_core_user as numerator, 1 as denominator
from paying

union all

select 'revenue' as metric, cash_date as measured_date, channel, country, revenue as numerator, null as denominator
from amounts

union all

select 'aov' as metric, ordered_date as measured_date, channel, country, amount as numerator, 1 as denominator
from purchases
