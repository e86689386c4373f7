{#- What is kept of the first event of a session: where it came from and on what. -#}
{% macro touch_columns() %}
  {{- return(["utm_source", "utm_medium", "utm_campaign", "referrer", "device_type", "country", "city_tier"]) -}}
{% endmacro %}

{#- What of that decides the channel; the condition of a join to `int_identity__channels`. -#}
{% macro same_touch(touches, channels) -%}
  {{ touches }}.utm_source is not distinct from {{ channels }}.utm_source
  and {{ touches }}.utm_medium is not distinct from {{ channels }}.utm_medium
  and {{ touches }}.referrer is not distinct from {{ channels }}.referrer
{%- endmacro %}
