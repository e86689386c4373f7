-- Who stopped after a step of a week is who reached that step and not the next; the five pages hold no more persons than that, and all of
-- them where there are fewer than five.
{{ config(meta={"dagster": {"ref": {"name": "mart_funnel_exits__weekly"}}}) }}
with exits as (
  select
    funnel,
    week,
    step_number,
    max(stopped_count) as stopped_count,
    sum(exit_count) as exit_count,
    count(*) as page_count
  from {{ ref("mart_funnel_exits__weekly") }}
  group by funnel, week, step_number
),

reached as (
  select
    funnel,
    entry_start as week,
    step_number,
    person_count,
    lead(person_count) over (partition by funnel, entry_start order by step_number) as next_count
  from {{ ref("mart_funnel__entry") }}
  where entry_grain = 'week' and dimension = 'all'
)

select reached.*, exits.stopped_count, exits.exit_count
from reached
left join exits on reached.funnel = exits.funnel and reached.week = exits.week and reached.step_number = exits.step_number
where
  reached.person_count - reached.next_count <> coalesce(exits.stopped_count, 0)
  or exits.exit_count > exits.stopped_count
  or (exits.page_count < 5 and exits.exit_count < exits.stopped_count)
