{#-
  Long form of a breakdown: the rows of a relation once for `('all', 'all')` and once for each dimension, with the columns `dimension`
  and `segment` beside the kept ones. An unknown value is the segment `(none)`, so the segments of a dimension add up to `all`.
-#}
{% macro by_segment(relation, columns, dimensions) -%}
  select {{ columns | join(", ") }}, 'all' as dimension, 'all' as segment
  from {{ relation }}
  {%- for dimension in dimensions %}
  union all
  select {{ columns | join(", ") }}, '{{ dimension }}' as dimension, coalesce(cast({{ dimension }} as varchar), '(none)') as segment
  from {{ relation }}
  {%- endfor %}
{%- endmacro %}
