with customers as (
  select * from {{ ref("dim_customers") }}
),

amounts as (
  select * from {{ ref("fct_customer_amounts") }}
)

-- What a customer was given back before its first payment is part of every horizon.
select
  customers.customer_id,
  sum(amounts.revenue) as revenue,
  sum(amounts.margin) as margin,
  {%- for horizon in clv_horizons() %}
  sum(
    case when amounts.revenue_date <= {{ period_last_day("month", "customers.first_paid_date", horizon - 1) }} then amounts.margin else 0 end
  ) as margin_{{ horizon }}m{{ "," if not loop.last }}
  {%- endfor %}
from customers
inner join amounts on customers.customer_id = amounts.customer_id
group by customers.customer_id
