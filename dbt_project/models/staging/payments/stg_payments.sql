with deduplicated as (
  {{ one_per_key(
    "payments",
    ["payment_id", "account_id", "user_id", "paid_at", "kind", "amount", "currency", "status", "refund_of",
     "order_id"]
  ) }}
)

select
  payment_id,
  account_id,
  user_id,
  paid_at,
  kind,
  amount,
  currency,
  status,
  refund_of,
  order_id,
  {{ local_date('paid_at') }} as paid_date,
  arrived_date,
  landed_date
from deduplicated
