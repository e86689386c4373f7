{#-
  ('all', 'all') stands once for every value of the keys (the grain without dimension and segment), and in each dimension the segments add
  up to it: exactly, or in the columns that were rounded to half a cent for each row. What is missing on either side counts as nothing.
-#}
{% test segments_add_up(model, keys, dimensions, columns, rounded=[]) %}
with totals as (
  select
    {{ keys | join(", ") }},
    dimension,
    {%- for column in columns + rounded %}
    sum({{ column }}) as {{ column }},
    {%- endfor %}
    count(*) as segment_count
  from {{ model }}
  group by {{ keys | join(", ") }}, dimension
),

dimensions as (
  {%- for dimension in dimensions %}
  select '{{ dimension }}' as dimension
  {{ "union all" if not loop.last }}
  {%- endfor %}
),

whole as (
  select
    {%- for column in keys + columns + rounded %}
    totals.{{ column }},
    {%- endfor %}
    totals.segment_count,
    dimensions.dimension
  from totals
  cross join dimensions
  where totals.dimension = 'all'
),

parts as (
  select * from totals
  where dimension <> 'all'
)

select
  {%- for column in keys + ["dimension"] %}
  coalesce(whole.{{ column }}, parts.{{ column }}) as {{ column }},
  {%- endfor %}
  {%- for column in columns + rounded %}
  whole.{{ column }} as all_{{ column }},
  parts.{{ column }} as segments_{{ column }},
  {%- endfor %}
  whole.segment_count as all_row_count
from whole
full outer join parts
  on
    {% for column in keys -%}
    whole.{{ column }} = parts.{{ column }} and {% endfor -%}
    whole.dimension = parts.dimension
where
  whole.segment_count is distinct from 1
  {%- for column in columns %}
  or coalesce(whole.{{ column }}, 0) <> coalesce(parts.{{ column }}, 0)
  {%- endfor %}
  {%- for column in rounded %}
  or abs(coalesce(whole.{{ column }}, 0) - coalesce(parts.{{ column }}, 0)) > 0.005 * (1 + coalesce(parts.segment_count, 0))
  {%- endfor %}
{% endtest %}
