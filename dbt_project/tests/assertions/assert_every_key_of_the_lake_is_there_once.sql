-- Keys of every source but events, counted without looking at what became of them.
with expected as (
  {%- for name, rule in landing_keys().items() if name != "events" %}
  select '{{ name }}' as source, count(distinct row({{ rule["key"] | join(", ") }})) as key_count
  from {{ source("lake", name) }}
  {{ "union all" if not loop.last }}
  {%- endfor %}
),

found as (
  select source, sum(fact_count) as fact_count
  from {{ ref("int_quality__facts") }}
  where source <> 'events'
  group by source
)

select expected.source, expected.key_count, found.fact_count
from expected
left join found on expected.source = found.source
where expected.key_count <> coalesce(found.fact_count, 0)
