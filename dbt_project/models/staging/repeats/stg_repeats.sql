{%- for name in landing_keys() %}
select
  '{{ name }}' as source,
  arrived_date,
  count(*) as repeated_count
from (
  select
    arrived_date,
    {%- if name == "ad_spend" %}
    case when is_counted then 1 else 2 end as copy_number
  from ({{ ad_spend_rows() }}) as landed
    {%- else %}
    {{ copy_number(name) }} as copy_number
  from ({{ landed_rows(name) }}) as landed
    {%- endif %}
) as ranked
where copy_number > 1
group by arrived_date
{{ "union all" if not loop.last }}
{%- endfor %}
