{#-
  Incremental strategy `replace_days`: the days that what arrived has touched are replaced whole, in one transaction. Deleting by key
  would keep rows that vanished upstream; merging is not known to every engine. The model selects the rows of the affected days alone.
-#}
{% macro get_incremental_replace_days_sql(arguments) %}
  {{- return(adapter.dispatch("get_incremental_replace_days_sql")(arguments)) -}}
{% endmacro %}
{% macro duckdb__get_incremental_replace_days_sql(arguments) %}
  {%- set columns = get_quoted_csv(arguments["dest_columns"] | map(attribute="name")) %}
  delete from {{ arguments["target_relation"] }}
  where event_date in (select affected.event_date from {{ source("control", "affected_days") }} as affected);

  insert into {{ arguments["target_relation"] }} ({{ columns }})
  select {{ columns }} from {{ arguments["temp_relation"] }}
{% endmacro %}
