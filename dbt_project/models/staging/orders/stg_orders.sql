with deduplicated as (
  {{ one_per_key(
    "orders",
    ["order_id", "user_id", "ordered_at", "amount", "discount", "refunded_amount", "refunded_at", "cost", "currency", "items",
     "category", "store_id", "fulfilment", "status"]
  ) }}
)

select
  order_id,
  user_id,
  ordered_at,
  amount,
  discount,
  refunded_amount,
  refunded_at,
  cost,
  currency,
  items,
  category,
  store_id,
  fulfilment,
  status,
  {{ local_date('ordered_at') }} as ordered_date,
  {{ local_date('refunded_at') }} as refunded_date,
  arrived_date,
  landed_date
from deduplicated
