with customers as (
  select * from {{ ref("int_clv__shop_customers") }}
),

predicted as (
  select * from {{ source("ml", "ltv_customers") }}
)

select
  {{ data_through() }} as as_of_date,
  customers.person_id,
  cast(customers.order_count as bigint) as order_count,
  cast(customers.frequency as bigint) as frequency,
  cast(customers.recency_days as bigint) as recency_days,
  cast(customers.age_days as bigint) as age_days,
  cast(customers.revenue as decimal(18, 2)) as revenue,
  cast(customers.margin as decimal(18, 2)) as margin,
  predicted.p_alive,
  predicted.expected_orders_90d,
  predicted.expected_orders_365d,
  cast(predicted.expected_order_value as decimal(18, 4)) as expected_order_value,
  {%- for horizon in clv_horizons() %}
  cast(predicted.predicted_ltv_{{ horizon }}m as decimal(18, 4)) as predicted_ltv_{{ horizon }}m,
  {%- endfor %}
  predicted.method
from customers
inner join predicted on customers.person_id = predicted.person_id
