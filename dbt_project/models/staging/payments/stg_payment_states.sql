with known as (
  {{ known_states(
    "payments",
    ["payment_id", "account_id", "user_id", "paid_at", "kind", "amount", "currency", "status", "refund_of"]
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
  {{ local_date('paid_at') }} as paid_date,
  arrived_date,
  known_until
from known
