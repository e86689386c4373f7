{#- The rows of a relation whose event_date the night replaces, with all columns or only the named ones. -#}
{% macro of_affected_days(relation, columns=["*"]) -%}
  select
    {%- for column in columns %}
    kept.{{ column }}{{ "," if not loop.last }}
    {%- endfor %}
  from {{ relation }} as kept
  inner join {{ source("control", "affected_days") }} as affected
    on kept.event_date = affected.event_date
{%- endmacro %}

{#-
  The as-of dates whose rows the night replaces, as a relation with one column, as_of_date: those from the first on that something changed
  for, and the current one, which may be new.
-#}
{% macro replaced_as_of_dates() -%}
  select as_of_date
  from {{ ref("int_accounts__as_of_dates") }}
  where
    is_current
    or as_of_date >= (select min(affected.first_date) from {{ source("control", "affected_as_of") }} as affected)
{%- endmacro %}
