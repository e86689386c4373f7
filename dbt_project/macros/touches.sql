{#- What is kept of the first event of a visitor or person: where it came from and on what. -#}
{% macro first_touch_columns() %}
  {{- return(["utm_source", "utm_medium", "referrer", "device_type", "country", "city_tier"]) -}}
{% endmacro %}
