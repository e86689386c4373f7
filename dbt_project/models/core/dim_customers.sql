with payments as (
  select * from {{ ref("int_revenue__customer_amounts") }}
  where is_payment
),

customers as (
  select customer_id, min(revenue_date) as first_paid_date
  from payments
  group by customer_id
),

-- An account came by the channel of the person who signed up first for it.
founders as (
  select
    users.account_id,
    persons.channel,
    persons.country,
    row_number() over (partition by users.account_id order by users.signed_up_at, users.user_id) as member_number,
    count(*) over (partition by users.account_id) as member_count,
    sum(case when persons.is_internal then 1 else 0 end) over (partition by users.account_id) as internal_count
  from {{ ref("stg_users") }} as users
  inner join {{ ref("int_identity__users") }} as identities on users.user_id = identities.user_id
  inner join {{ ref("dim_persons") }} as persons on identities.person_id = persons.person_id
  where users.account_id is not null
)

select
  customers.customer_id,
  case when persons.person_id is null then 'account' else 'person' end as customer_kind,
  customers.first_paid_date,
  {{ period_start("month", "customers.first_paid_date") }} as cohort_month,
  coalesce(persons.channel, founders.channel) as channel,
  coalesce(persons.country, accounts.country, founders.country) as country,
  coalesce(persons.is_internal, founders.internal_count = founders.member_count, false) as is_internal
from customers
left join {{ ref("dim_persons") }} as persons on customers.customer_id = persons.person_id
left join founders on customers.customer_id = 'c:' || founders.account_id and founders.member_number = 1
left join {{ ref("stg_accounts") }} as accounts on customers.customer_id = 'c:' || accounts.account_id
