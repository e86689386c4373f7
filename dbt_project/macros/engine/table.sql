{#-
  Tables of models, in place of the adapter's own way: drop and create in one transaction, instead of building beside the old table,
  renaming twice and dropping, each a macro call of its own (a fifth of dbt's time on a small night). Readers never have the build file
  open, so that nothing needs the old table meanwhile. Hooks, indexes and grants are not supported: the project has none.
-#}
{% materialization table, adapter="duckdb", supported_languages=["sql", "python"] %}
  {%- set existing = load_cached_relation(this) %}
  {%- set target = this.incorporate(type="table") %}
  {#- Python writes on a connection of its own, which would collide with the drop: its table is made beside and renamed. -#}
  {%- set is_beside = model["language"] == "python" %}
  {%- set made = make_intermediate_relation(target) if is_beside else target %}
  {%- set replace %}
    {%- if existing is not none %} drop {{ existing.type }} {{ existing }}; {% endif %}
  {%- endset %}
  {%- if is_beside %}
    {%- do drop_relation_if_exists(load_cached_relation(made)) %}
  {%- elif existing is not none %}
    {%- call statement("replace") %}{{ replace }}{% endcall %}
  {%- endif %}
  {%- call statement("main", language=model["language"]) %}
    {{- create_table_as(False, made, compiled_code, model["language"]) }}
  {%- endcall %}
  {%- if is_beside %}
    {%- call statement("replace") %}{{ replace }} alter table {{ made }} rename to {{ target.identifier }}{% endcall %}
  {%- endif %}
  {%- do persist_docs(target, model) %}
  {%- do adapter.commit() %}
  {{- return({"relations": [target]}) -}}
{% endmaterialization %}
