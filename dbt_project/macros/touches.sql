{#- Where a visit came from: one touch, taken whole from the first event that carries any of it. -#}
{% macro source_columns() %}
  {{- return(["utm_source", "utm_medium", "utm_campaign", "referrer", "click_id"]) -}}
{% endmacro %}

{#- What a visit came on, each taken from the first event that carries it. -#}
{% macro visitor_columns() %}
  {{- return(["device_type", "country", "city_tier"]) -}}
{% endmacro %}

{#- Whether a row carries any part of a touch. -#}
{% macro has_source() -%}
  coalesce({{ source_columns() | join(", ") }}) is not null
{%- endmacro %}

{#- What of a touch decides the channel; the condition of a join to `int_identity__channels`. -#}
{% macro same_touch(touches, channels) -%}
  {{ touches }}.utm_source is not distinct from {{ channels }}.utm_source
  and {{ touches }}.utm_medium is not distinct from {{ channels }}.utm_medium
  and {{ touches }}.referrer is not distinct from {{ channels }}.referrer
  and {{ touches }}.click_id is not distinct from {{ channels }}.click_id
{%- endmacro %}
