with deduplicated as (
  {{ one_per_key(
    source("lake", "subscriptions"),
    ["subscription_id", "changed_at"],
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
  arrived_date
from deduplicated
