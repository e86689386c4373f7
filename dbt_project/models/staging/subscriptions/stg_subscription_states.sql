with known as (
  {{ known_states(
    "subscriptions",
    ["subscription_id", "account_id", "changed_at", "plan", "billing_interval", "mrr", "currency", "status", "seats",
     "renews_at"]
  ) }}
)

select
  known.subscription_id,
  known.account_id,
  known.changed_at,
  coalesce(plans.core_name, lower(known.plan)) as plan,
  known.billing_interval,
  known.mrr,
  known.currency,
  known.status,
  known.seats,
  known.renews_at,
  {{ local_date("known.changed_at") }} as changed_date,
  known.arrived_date,
  known.known_until
from known
left join {{ source("control", "plans") }} as plans on lower(known.plan) = plans.landed_name
