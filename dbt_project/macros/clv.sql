{#- Months after the first payment that a lifetime value is predicted for. -#}
{% macro clv_horizons() %}{{ return([12, 24, 36]) }}{% endmacro %}
