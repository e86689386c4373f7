with amounts as (
  select * from {{ ref("fct_customer_amounts") }}
),

persons as (
  select * from {{ ref("dim_persons") }}
),

accounts as (
  select * from {{ ref("dim_accounts") }}
),

customers as (
  select
    customer_id,
    min(revenue_date) as first_paid_date
  from amounts
  where is_payment
  group by customer_id
)

select
  customers.customer_id,
  case when accounts.account_id is null then 'person' else 'account' end as customer_kind,
  customers.first_paid_date,
  {{ period_start("month", "customers.first_paid_date") }} as cohort_month,
  coalesce(persons.channel, accounts.channel) as channel,
  coalesce(persons.country, accounts.country) as country
from customers
left join persons on customers.customer_id = persons.person_id
left join accounts on customers.customer_id = 'c:' || accounts.account_id
