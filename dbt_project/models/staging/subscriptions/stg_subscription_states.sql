with known as (
  {{ known_states(
    "subscriptions",
    ["subscription_id", "account_id", "changed_at", "plan", "billing_interval", "mrr", "currency", "status", "seats",
     "renews_at"]
  ) }}
)

select
  subscription_id,
  account_id,
  changed_at,
  plan,
  billing_interval,
  mrr,
  currency,
  status,
  seats,
  renews_at,
  {{ local_date('changed_at') }} as changed_date,
  arrived_date,
  known_until
from known
