{#- The visitor of an event: its user, or its device while the user is unknown; every event has one of the two. -#}
{% macro visitor_of(relation=none) -%}
  {%- set prefix = relation ~ "." if relation else "" -%}
  coalesce('u:' || {{ prefix }}user_id, 'a:' || {{ prefix }}anonymous_id)
{%- endmacro %}

{#-
  The rows of a relation whose visitor and event day the night replaces, with all columns or only the named ones; `visitor` is the
  expression that names a row's visitor, if it has no ids. On a rebuild these are all rows.
-#}
{% macro of_affected_visitor_days(relation, columns=["*"], visitor=none) -%}
  select
    {%- for column in columns %}
    kept.{{ column }}{{ "," if not loop.last }}
    {%- endfor %}
  from {{ relation }} as kept
  {%- if not flags.FULL_REFRESH %}
  inner join {{ source("control", "affected_visitor_days") }} as affected
    on kept.event_date = affected.event_date and {{ visitor or visitor_of("kept") }} = affected.visitor_id
  {%- endif %}
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
