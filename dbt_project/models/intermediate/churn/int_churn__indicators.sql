{%- set needs = {
  "features": "'events.feature'",
  "core_events": core_event_facts(),
  "payments": "'payments'",
  "renewals": "'subscriptions.renews_at'",
} -%}

{%- set breadth = "case when features.as_of_date >= arrivals.features_from then least(features.features_used_28d / 5, 1) end" -%}
{%- set depth = "case when features.as_of_date >= arrivals.core_events_from then least(features.core_events_28d / 8, 1) end" %}

-- An indicator has no score before what it needs has arrived, however much of it arrives later.
with arrivals as (
  select
    (select min(arrived_date) from {{ ref("int_activity__visitor_day") }}) as events_from,
    (select min(arrived_date) from {{ ref("stg_tickets") }}) as tickets_from,
    {%- for name, facts in needs.items() %}
    (
      select min(known_date) from {{ ref("int_delivery__facts") }}
      where fact in ({{ facts }})
    ) as {{ name }}_from{{ "," if not loop.last }}
    {%- endfor %}
)

select
  features.as_of_date,
  features.account_id,
  features.is_current,
  case
    when arrivals.events_from is null or features.as_of_date < arrivals.events_from then null
    when features.events_prior_28d = 0 then case when features.events_7d = 0 then 1e0 else 0e0 end
    else greatest(1 - least(features.usage_ratio, 1), 0.5e0 * features.is_usage_down)
  end as usage_decline,
  case
    when features.as_of_date >= arrivals.tickets_from
      then 1 - 3e0 / (3 + features.tickets_30d + 2 * features.severe_tickets_30d + features.unsolved_tickets)
  end as support_tickets,
  1 - coalesce(0.5e0 * {{ breadth }} + 0.5e0 * {{ depth }}, {{ breadth }}, {{ depth }}) as feature_adoption,
  case
    when features.as_of_date >= arrivals.events_from
      then greatest(
        1 - 0.3e0 * least(features.active_days_28d / 20, 1)
        - 0.2e0 * least(features.active_users_28d / greatest(coalesce(features.seats, 1), 1), 1)
        - 0.1e0 * least(features.sessions_28d / 20, 1)
        - 0.1e0 * least(features.streak_days / 5, 1)
        - 0.3e0 * (1 - least(coalesce(features.days_since_last_event, 28), 28) / 28),
        0
      )
  end as engagement_score,
  case
    when features.is_past_due = 1 then 1e0
    when features.as_of_date >= arrivals.payments_from then least(features.failed_payments_90d / 3, 1)
  end as payment_issues,
  case
    when features.as_of_date >= arrivals.renewals_from
      then coalesce({{ within("1 - features.days_to_renewal / 90", "0e0", "1e0") }}, 0)
  end as contract_proximity
from {{ ref("int_churn__features") }} as features
cross join arrivals
