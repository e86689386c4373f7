{#- Lengths of the periods that metrics are published for. -#}
{% macro metric_periods() %}{{ return(["day", "month", "quarter"]) }}{% endmacro %}

{#- First day of the period of that length in which a day lies, and last day of the one that begins on a day. -#}
{% macro metric_period_start(period, day) -%}
  case {{ period }}
    {%- for grain in metric_periods() %}
      when '{{ grain }}' then {{ period_start(grain, day) }}
    {%- endfor %}
    end
{%- endmacro %}
{% macro metric_period_end(period, start) %}{{ return(last_day_of_any(metric_periods(), period, start)) }}{% endmacro %}

{#- The value that a metric of a kind has by its figures. -#}
{% macro metric_value(kind, figures) -%}
  case {{ kind }}
      when 'count' then {{ figures }}.numerator
      when 'median' then {{ figures }}.median
      when 'score' then 100 * {{ figures }}.numerator / nullif({{ figures }}.denominator, 0)
      else {{ figures }}.numerator / nullif({{ figures }}.denominator, 0)
    end
{%- endmacro %}

{#- How a value stands to its target: within a tenth of a missed one, be it negative, it is amber. -#}
{% macro metric_status(value, target, direction) -%}
  case
    when {{ value }} is null or {{ target }} is null then null
    when {{ direction }} = 'at_least' and {{ value }} >= {{ target }} then 'green'
    when {{ direction }} = 'at_least' and {{ value }} >= {{ target }} - 0.1 * abs({{ target }}) then 'amber'
    when {{ direction }} = 'at_most' and {{ value }} <= {{ target }} then 'green'
    when {{ direction }} = 'at_most' and {{ value }} <= {{ target }} + 0.1 * abs({{ target }}) then 'amber'
    else 'red'
  end
{%- endmacro %}
