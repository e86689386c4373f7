with users as (
  select users.user_id, users.account_id
  from {{ ref("stg_users") }} as users
  cross join {{ source("control", "run") }} as run
  where users.signed_up_date <= run.data_through
),

-- What staff do on behalf of an account is no use of its own.
core_months as (
  select distinct
    coalesce(activity.account_id, users.account_id) as account_id,
    {{ period_start("month", "activity.event_date") }} as month
  from {{ ref("int_activity__visitor_day") }} as activity
  {{ join_visitors("activity") }}
  cross join {{ source("control", "run") }} as run
  left join {{ ref("int_identity__internal_persons") }} as internal on visitors.person_id = internal.person_id
  left join users on activity.user_id = users.user_id
  where activity.core_event_count > 0 and not activity.is_bot and internal.person_id is null and activity.event_date <= run.data_through
),

paying as (
  select
    months.month,
    accounts.channel,
    accounts.country,
    case when core_months.account_id is null then 0 else 1 end as is_core_user
  from {{ ref("int_revenue__account_months") }} as months
  inner join {{ ref("dim_accounts") }} as accounts on months.account_id = accounts.account_id
  left join core_months on months.account_id = core_months.account_id and months.month = core_months.month
  where not accounts.is_internal
),

-- A refund may be all that is known of somebody, who then is no customer but a person or an account nevertheless.
amounts as (
  select
    amounts.cash_date,
    coalesce(persons.channel, accounts.channel) as channel,
    coalesce(persons.country, accounts.country) as country,
    amounts.revenue
  from {{ ref("int_revenue__customer_amounts") }} as amounts
  left join {{ ref("dim_persons") }} as persons on amounts.customer_id = persons.person_id
  left join {{ ref("dim_accounts") }} as accounts on amounts.customer_id = 'c:' || accounts.account_id
  where not coalesce(persons.is_internal, accounts.is_internal, false)
),

purchases as (
  select orders.ordered_date, persons.channel, persons.country, orders.amount
  from {{ ref("fct_orders") }} as orders
  inner join {{ ref("int_identity__users") }} as identities on orders.user_id = identities.user_id
  inner join {{ ref("dim_persons") }} as persons on identities.person_id = persons.person_id
  where orders.is_purchase and orders.amount is not null and not persons.is_internal
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
