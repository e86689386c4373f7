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

{#- Left join of every row of a relation to the last row of another that has the same keys and no greater position. -#}
{% macro asof_last(rows, relation, last_row, keys, position, last_position) %}
  {{- return(adapter.dispatch("asof_last")(rows, relation, last_row, keys, position, last_position)) -}}
{% endmacro %}
{% macro duckdb__asof_last(rows, relation, last_row, keys, position, last_position) -%}
asof left join {{ relation }} as {{ last_row }}
    on
      {% for key in keys -%}
      {{ rows }}.{{ key }} = {{ last_row }}.{{ key }} and {% endfor -%}
      {{ rows }}.{{ position }} >= {{ last_row }}.{{ last_position }}
{%- endmacro %}
