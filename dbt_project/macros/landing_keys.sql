{#-
  Generated from the landing contract by `make docs`; change it there. The key of every source, as expressions to
  partition by, and which row of a key stays: `latest` for a state, else the first; `dated` when `updated_at` dates
  a state.
-#}
{% macro landing_keys() %}
  {{- return({
    "events": {"key": ["event_id"], "latest": false, "dated": false},
    "users": {"key": ["user_id"], "latest": true, "dated": true},
    "accounts": {"key": ["account_id"], "latest": true, "dated": true},
    "subscriptions": {"key": ["subscription_id", "changed_at"], "latest": true, "dated": false},
    "payments": {"key": ["payment_id"], "latest": true, "dated": true},
    "orders": {"key": ["order_id"], "latest": true, "dated": true},
    "ad_spend": {"key": ["spend_date", "utm_source", "coalesce(utm_medium, '')", "coalesce(utm_campaign, '')", "coalesce(utm_content, '')", "coalesce(ad_id, '')"], "latest": true, "dated": true},
    "tickets": {"key": ["ticket_id"], "latest": true, "dated": true},
    "surveys": {"key": ["response_id"], "latest": true, "dated": true},
    "feedback": {"key": ["feedback_id"], "latest": true, "dated": true},
    "wecom": {"key": ["interaction_id"], "latest": true, "dated": false},
    "outcomes": {"key": ["account_id", "measured_at"], "latest": true, "dated": true},
    "exposures": {"key": ["experiment_id", "unit_id", "variant"], "latest": false, "dated": false},
    "fx_rates": {"key": ["rate_date", "currency"], "latest": false, "dated": false},
    "erasures": {"key": ["user_id"], "latest": true, "dated": false},
  }) -}}
{% endmacro %}
