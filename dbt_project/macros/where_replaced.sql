{#-
  Rows that a data test looks at: those of its `where`, which may be one of these words. On a model of which a night replaces a part, the
  other rows passed in the night that wrote them. Where a night replaced nothing, all are looked at: so does a test that is run alone.

  `__replaced_visitor_days__`: of visitors on days that the night replaces. `__replaced_events__`: of all days, those that share an event
  id with them. `__replaced_days__`: on such days, of whatever visitor. `__replaced_as_of_dates__`: on as-of dates that the night replaces.

  dbt calls this macro by its name; its tables are named as they lie, since a test that names another relation would be a check of that, too.
-#}
{% macro get_where_subquery(relation) -%}
  {%- set nothing = " or (select count(*) from control.affected_visitor_days) = 0" -%}
  {%- set days = "event_date in (select affected.event_date from control.affected_visitor_days as affected)" ~ nothing -%}
  {%- set visitor_days = "(event_date, " ~ visitor_of("looked_at") ~ ") in (select (affected.event_date, affected.visitor_id)"
    ~ " from control.affected_visitor_days as affected)" ~ nothing -%}
  {%- set conditions = {
    "__replaced_days__": days,
    "__replaced_visitor_days__": visitor_days,
    "__replaced_events__": "event_id in (select event_id from " ~ relation ~ " as looked_at where " ~ visitor_days ~ ")",
    "__replaced_as_of_dates__": "as_of_date >= (select min(first_date) from control.affected_as_of)"
      ~ " or as_of_date = (select max(data_through) from control.run)"
      ~ " or (select count(*) from control.affected_as_of) = 0",
  } -%}
  {%- set where = config.get("where") -%}
  {%- if where -%}
    {{- return("(select * from " ~ relation ~ " as looked_at where " ~ conditions.get(where, where) ~ ") as looked_at") -}}
  {%- endif -%}
  {{- return(relation) -}}
{%- endmacro %}
