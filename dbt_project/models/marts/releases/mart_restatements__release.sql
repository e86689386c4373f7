-- A view: dbt is done when the marts are compared with those of the last release. The candidate copies its rows as of any table.
{{ config(materialized="view") }}

-- What is compared, and has to stand before it:
{% for mart in [
  "mart_data_quality__daily",
  "mart_engagement__daily",
  "mart_funnel__entry",
  "mart_funnel_exits__weekly",
  "mart_ltv__cohort",
  "mart_ltv_cac__channel_month",
  "mart_metric__daily",
  "mart_mrr__month",
  "mart_retention__cohort",
] %}
-- {{ ref(mart) }}
{%- endfor %}

select
  release_id,
  previous_release_id,
  data_through,
  mart,
  series,
  period,
  period_start,
  measure,
  value_before,
  value_after,
  change,
  change_rate,
  cause,
  possible_causes,
  late_fact_count
from {{ source("control", "restatements") }}
