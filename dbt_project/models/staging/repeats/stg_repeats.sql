{%- for name in landing_keys() %}
select
  '{{ name }}' as source,
  arrived_date,
  count(*) as repeated_count
from (
  select
    arrived_date,
    {{ copy_number(name) }} as copy_number
  from {{ source("lake", name) }}
) as ranked
where copy_number > 1
group by arrived_date
{{ "union all" if not loop.last }}
{%- endfor %}
