{#- The rows of a relation whose event_date the night replaces. -#}
{% macro of_affected_days(relation) -%}
  select kept.*
  from {{ relation }} as kept
  inner join {{ source("control", "affected_days") }} as affected
    on kept.event_date = affected.event_date
{%- endmacro %}
