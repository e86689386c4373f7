{#-
  Left join of every row of `chain` to the first row of a relation that has the same keys and a greater position; the relation gets the
  alias `next_row`.
-#}
{% macro asof_next(chain, relation, next_row, keys, chain_position, next_position) %}
  {{- return(adapter.dispatch("asof_next")(chain, relation, next_row, keys, chain_position, next_position)) -}}
{% endmacro %}
{% macro duckdb__asof_next(chain, relation, next_row, keys, chain_position, next_position) -%}
asof left join {{ relation }} as {{ next_row }}
    on
      {% for key in keys -%}
      {{ chain }}.{{ key }} = {{ next_row }}.{{ key }} and {% endfor -%}
      {{ chain }}.{{ chain_position }} < {{ next_row }}.{{ next_position }}
{%- endmacro %}
