{#-
  Generated from the landing contract by `make docs`; change it there. The key of every source, as expressions to
  partition by, and which row of a key stays: `latest` for a state, else the first; `dated` when `updated_at` dates
  a state; `summed`: columns that add up over rows of one file that share the key but differ.
-#}
{% macro landing_keys() %}
  {{- return({
    "events": {"key": ["event_id"], "latest": false, "dated": false, "summed": []},
    "users": {"key": ["user_id"], "latest": true, "dated": true, "summed": []},
    "accounts": {"key": ["account_id"], "latest": true, "dated": true, "summed": []},
    "subscriptions": {"key": ["subscription_id", "changed_at"], "latest": true, "dated": false, "summed": []},
    "payments": {"key": ["payment_id"], "latest": true, "dated": true, "summed": []},
    "orders": {"key": ["order_id"], "latest": true, "dated": true, "summed": []},
    "ad_spend": {"key": ["spend_date", "utm_source", "coalesce(utm_medium, '')", "coalesce(utm_campaign, '')", "coalesce(utm_content, '')", "coalesce(ad_id, '')"], "latest": true, "dated": true, "summed": ["cost", "impressions", "clicks"]},
    "tickets": {"key": ["ticket_id"], "latest": true, "dated": true, "summed": []},
    "surveys": {"key": ["response_id"], "latest": true, "dated": true, "summed": []},
    "feedback": {"key": ["feedback_id"], "latest": true, "dated": true, "summed": []},
    "wecom": {"key": ["interaction_id"], "latest": true, "dated": false, "summed": []},
    "outcomes": {"key": ["account_id", "measured_at"], "latest": true, "dated": true, "summed": []},
    "exposures": {"key": ["experiment_id", "unit_id", "variant"], "latest": false, "dated": false, "summed": []},
    "fx_rates": {"key": ["rate_date", "currency"], "latest": false, "dated": false, "summed": []},
    "erasures": {"key": ["user_id"], "latest": true, "dated": false, "summed": []},
  }) -}}
{% endmacro %}
