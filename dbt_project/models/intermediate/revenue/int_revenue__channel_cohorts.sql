-- What a customer was given back before its first payment counts in its first month.
with customers as (
  select * from {{ ref("dim_customers") }}
),

customer_amounts as (
  select * from {{ ref("fct_customer_amounts") }}
),

amounts as (
  select
    customers.cohort_month,
    coalesce(customers.channel, '(none)') as channel,
    greatest(
      {{ periods_between("month", "customers.cohort_month", period_start("month", "customer_amounts.revenue_date")) }}, 0
    ) as age_months,
    customer_amounts.revenue,
    customer_amounts.margin
  from customer_amounts
  inner join customers on customer_amounts.customer_id = customers.customer_id
)

select
  cohort_month,
  channel,
  age_months,
  sum(revenue) as revenue,
  sum(margin) as margin
from amounts
group by cohort_month, channel, age_months
