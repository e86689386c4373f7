{#- A model's schema is the one it names, unprefixed: the address in the warehouse is the address in the docs. -#}
{% macro generate_schema_name(custom_schema_name, node) -%}
  {{ custom_schema_name | trim if custom_schema_name else target.schema }}
{%- endmacro %}
