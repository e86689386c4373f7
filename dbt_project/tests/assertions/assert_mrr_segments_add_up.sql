{%- set measures = ["opening", "new", "reactivation", "expansion", "contraction", "churned", "transferred", "closing"] %}
{%- set columns = [] %}
{%- for measure in measures %}{% do columns.extend([measure ~ "_mrr", measure ~ "_account_count"]) %}{% endfor %}
-- For each dimension the segments add up to all, in every column and to the cent.
{{ config(meta={"dagster": {"ref": {"name": "mart_mrr__month"}}}) }}
with totals as (
  select
    month,
    dimension,
    {%- for column in columns %}
    sum({{ column }}) as {{ column }}{{ "," if not loop.last }}
    {%- endfor %}
  from {{ ref("mart_mrr__month") }}
  group by month, dimension
)

select parts.*
from totals as parts
inner join totals as whole on parts.month = whole.month and whole.dimension = 'all'
where
  {%- for column in columns %}
  {{ "or " if not loop.first }}parts.{{ column }} <> whole.{{ column }}
  {%- endfor %}
