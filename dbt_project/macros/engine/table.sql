{#-
  Tables of models, in place of the adapter's own way: drop and create in one transaction, instead of building beside the old table,
  renaming twice and dropping, each a macro call of its own (a third of dbt's time on a small night). Readers never have the build file
  open, so that nothing needs the old table meanwhile. Hooks, indexes and grants are not supported: the project has none.
-#}
{% materialization table, adapter="duckdb", supported_languages=["sql", "python"] %}
  {%- set existing = load_cached_relation(this) %}
  {%- set target = this.incorporate(type="table") %}
  {%- if existing is not none %}
    {%- call statement("drop") %} drop {{ existing.type }} {{ existing }} {% endcall %}
  {%- endif %}
  {%- call statement("main", language=model["language"]) %}
    {{- create_table_as(False, target, compiled_code, model["language"]) }}
  {%- endcall %}
  {%- do persist_docs(target, model) %}
  {%- do adapter.commit() %}
  {{- return({"relations": [target]}) -}}
{% endmaterialization %}
