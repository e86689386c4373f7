{%- for name, rule in landing_keys().items() %}
select
  '{{ name }}' as source,
  arrived_date,
  count(*) as repeated_count
from (
  select
    arrived_date,
    row_number() over (
      partition by {{ rule["key"] | join(", ") }}
      order by {{ (rule.get("order", []) + ["arrived_date", "landed_file", "landed_row"]) | join(", ") }}
    ) as copy_number
  from {{ source("lake", name) }}
) as ranked
where copy_number > 1
group by arrived_date
{{ "union all" if not loop.last }}
{%- endfor %}
