with payments as (
  select * from {{ ref("int_revenue__customer_amounts") }}
  where is_payment
),

customers as (
  select customer_id, min(revenue_date) as first_paid_date
  from payments
  group by customer_id
)

select
  customers.customer_id,
  case when accounts.account_id is null then 'person' else 'account' end as customer_kind,
  customers.first_paid_date,
  {{ period_start("month", "customers.first_paid_date") }} as cohort_month,
  coalesce(persons.channel, accounts.channel) as channel,
  coalesce(persons.country, accounts.country) as country,
  coalesce(persons.is_internal, accounts.is_internal, false) as is_internal
from customers
left join {{ ref("dim_persons") }} as persons on customers.customer_id = persons.person_id
left join {{ ref("dim_accounts") }} as accounts on customers.customer_id = 'c:' || accounts.account_id
