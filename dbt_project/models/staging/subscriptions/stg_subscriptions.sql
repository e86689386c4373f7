with deduplicated as (
  {{ one_per_key(
    "subscriptions",
    ["subscription_id", "account_id", "changed_at", "plan", "billing_interval", "mrr", "currency", "status", "seats",
     "renews_at"]
  ) }}
)

select
  deduplicated.subscription_id,
  deduplicated.account_id,
  deduplicated.changed_at,
  coalesce(plans.core_name, lower(deduplicated.plan)) as plan,
  deduplicated.billing_interval,
  deduplicated.mrr,
  deduplicated.currency,
  deduplicated.status,
  deduplicated.seats,
  deduplicated.renews_at,
  {{ local_date("deduplicated.changed_at") }} as changed_date,
  deduplicated.arrived_date,
  deduplicated.landed_date
from deduplicated
left join {{ source("control", "plans") }} as plans on lower(deduplicated.plan) = plans.landed_name
