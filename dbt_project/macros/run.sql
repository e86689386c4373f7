{#- The last complete day, of which every required source has arrived: a scalar. -#}
{% macro data_through() -%} (select run.data_through from {{ source("control", "run") }} as run) {%- endmacro %}

{#- Whether the n-th period (0 = its own) after the one that starts on a day is over: its last day is complete. -#}
{% macro period_is_over(grain, start, n=0) -%}
  {{ period_last_day(grain, start, n) }} <= {{ data_through() }}
{%- endmacro %}
