{#-
  The key of every source but events, whose copies are told apart day by day, and for sources that hold the state of a thing the order
  that puts the latest state first.
-#}
{% macro landing_keys() %}
  {%- set latest = ["coalesce(updated_at, cast(arrived_date as timestamp)) desc"] %}
  {{- return({
    "users": {"key": ["user_id"], "order": latest},
    "accounts": {"key": ["account_id"], "order": latest},
    "subscriptions": {"key": ["subscription_id", "changed_at"]},
    "payments": {"key": ["payment_id"]},
    "orders": {"key": ["order_id"]},
    "ad_spend": {"key": ["spend_date", "utm_source", "coalesce(utm_medium, '')", "coalesce(utm_campaign, '')"]},
    "tickets": {"key": ["ticket_id"]},
    "surveys": {"key": ["response_id"]},
    "feedback": {"key": ["feedback_id"]},
    "wecom": {"key": ["interaction_id"]},
    "outcomes": {"key": ["account_id", "measured_at"]},
    "exposures": {"key": ["experiment_id", "unit_id"]},
    "fx_rates": {"key": ["rate_date", "currency"]},
    "erasures": {"key": ["user_id"]},
  }) -}}
{% endmacro %}

{#-
  Number of a row among those of its key in a source, 1 for the one that stays: the order decides, and the file's place breaks ties, so
  that every run gives the same answer.
-#}
{% macro copy_number(source_name) -%}
  {%- set rule = landing_keys()[source_name] -%}
  row_number() over (
      partition by {{ rule["key"] | join(", ") }}
      order by {{ (rule.get("order", []) + ["arrived_date", "landed_file", "landed_row"]) | join(", ") }}
    )
{%- endmacro %}

{#-
  One row per key of a source. `arrived_date` becomes the first day on which any of them arrived: that is when the fact became known;
  `landed_date` is the day on which the row that stays arrived.
-#}
{% macro one_per_key(source_name, columns) -%}
  {%- set key = landing_keys()[source_name]["key"] -%}
  select
    {{ columns | join(",\n    ") }},
    first_arrived_date as arrived_date,
    ranked.arrived_date as landed_date
  from (
    select
      *,
      min(arrived_date) over (partition by {{ key | join(", ") }}) as first_arrived_date,
      {{ copy_number(source_name) }} as copy_number
    from {{ source("lake", source_name) }}
  ) as ranked
  where copy_number = 1
{%- endmacro %}
