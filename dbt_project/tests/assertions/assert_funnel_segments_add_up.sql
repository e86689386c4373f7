-- For each dimension the segments add up to all.
with totals as (
  select funnel, entry_grain, entry_start, step_number, dimension, sum(person_count) as person_count
  from {{ ref("mart_funnel__entry") }}
  group by funnel, entry_grain, entry_start, step_number, dimension
)

select parts.*, whole.person_count as all_count
from totals as parts
inner join totals as whole
  on
    parts.funnel = whole.funnel
    and parts.entry_grain = whole.entry_grain
    and parts.entry_start = whole.entry_start
    and parts.step_number = whole.step_number
    and whole.dimension = 'all'
where parts.person_count <> whole.person_count
