-- A refund after the last complete day counts when its day has come.
with orders as (
  select
    *,
    case when refunded_date > {{ data_through() }} then 0 else coalesce(refunded_amount, 0) end as known_refunded_amount
  from {{ ref("stg_orders") }}
  where ordered_date <= {{ data_through() }}
)

select
  orders.order_id,
  orders.user_id,
  orders.ordered_at,
  orders.ordered_date,
  coalesce(orders.refunded_date, orders.ordered_date) as refunded_date,
  orders.currency as landed_currency,
  orders.amount as landed_amount,
  {{ in_reporting_currency("orders.amount", "orders.currency") }} as amount,
  {{ in_reporting_currency("coalesce(orders.discount, 0)", "orders.currency") }} as discount,
  {{ in_reporting_currency("orders.known_refunded_amount", "orders.currency") }} as refunded_amount,
  orders.known_refunded_amount > 0 as is_refunded,
  {{ in_reporting_currency("orders.cost", "orders.currency") }} as cost,
  orders.items,
  orders.category,
  orders.store_id,
  orders.fulfilment,
  orders.status,
  coalesce(lower(orders.status), '') not in ('canceled', 'cancelled', 'returned', 'failed') as is_purchase,
  orders.arrived_date,
  orders.landed_date
from orders
{{ fx_joins("orders.currency", "orders.ordered_date") }}
