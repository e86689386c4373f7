-- What a customer was given back before its first payment counts in its first month.
with amounts as (
  select
    customers.cohort_month,
    coalesce(customers.channel, '(none)') as channel,
    greatest(
      {{ periods_between("month", "customers.cohort_month", period_start("month", "amounts.revenue_date")) }}, 0
    ) as age_months,
    amounts.revenue,
    amounts.margin
  from {{ ref("int_revenue__customer_amounts") }} as amounts
  inner join {{ ref("dim_customers") }} as customers on amounts.customer_id = customers.customer_id
  cross join {{ source("control", "run") }} as run
  where customers.first_paid_date <= run.data_through and amounts.revenue_date <= run.data_through and not customers.is_internal
)

select
  cohort_month,
  channel,
  age_months,
  sum(revenue) as revenue,
  sum(margin) as margin
from amounts
group by cohort_month, channel, age_months
