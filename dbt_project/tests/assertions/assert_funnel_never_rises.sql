-- Along the steps of a funnel the number of persons never rises, in every segment; what a row says of the step before is what that says.
{{ config(meta={"dagster": {"ref": {"name": "mart_funnel__entry"}}}) }}
with steps as (
  select
    *,
    lag(person_count) over (
      partition by funnel, entry_grain, entry_start, dimension, segment order by step_number
    ) as reached_before_count
  from {{ ref("mart_funnel__entry") }}
)

select *
from steps
where
  previous_count is distinct from reached_before_count
  or person_count > coalesce(reached_before_count, entrant_count)
  or coalesce(reached_before_count, entrant_count) > entrant_count
