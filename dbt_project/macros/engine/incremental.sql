{#-
  Incremental strategies: the rows that what arrived has touched are replaced whole, in one transaction. Deleting by key would keep rows
  that vanished upstream; merging is not known to every engine. A model selects the rows to replace alone.

  `replace_visitor_days`: rows with an `event_date`, and the ids of a visitor or its `visitor_id`, on the night's affected visitor days.
  `replace_as_of`: rows with an `as_of_date`, on the dates that the night replaces, and on those that are no as-of dates any more.
-#}
{% macro get_incremental_replace_visitor_days_sql(arguments) %}
  {%- set relation = arguments["target_relation"].identifier %}
  {%- set names = arguments["dest_columns"] | map(attribute="name") | list %}
  {%- set visitor = relation ~ ".visitor_id" if "visitor_id" in names else visitor_of(relation) %}
  {%- set affected = "select 1 from " ~ source("control", "affected_visitor_days") ~ " as affected where affected.event_date = " %}
  {{- replaced_rows(arguments, "exists (" ~ affected ~ relation ~ ".event_date and affected.visitor_id = " ~ visitor ~ ")") -}}
{% endmacro %}
{% macro get_incremental_replace_as_of_sql(arguments) %}
  {%- set kept = "select kept.as_of_date from " ~ ref("int_accounts__as_of_dates") ~ " as kept" -%}
  {{- replaced_rows(arguments, "as_of_date in (" ~ replaced_as_of_dates() ~ ") or as_of_date not in (" ~ kept ~ ")") -}}
{% endmacro %}

{% macro replaced_rows(arguments, condition) %}{{ return(adapter.dispatch("replaced_rows")(arguments, condition)) }}{% endmacro %}
{% macro duckdb__replaced_rows(arguments, condition) %}
  {%- set columns = get_quoted_csv(arguments["dest_columns"] | map(attribute="name")) %}
  delete from {{ arguments["target_relation"] }}
  where {{ condition }};

  insert into {{ arguments["target_relation"] }} ({{ columns }})
  select {{ columns }} from {{ arguments["temp_relation"] }}
{% endmacro %}
