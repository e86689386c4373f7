-- Counted without looking at the facts, of the visitors and days that the night replaced: all copies of an event that has one there
-- lie there.
with expected as (
  select count(distinct event_id) as event_count
  from {{ ref("stg_events") }}
),

found as (
  select
    case
      when is_rebuild then (select count(*) from {{ ref("int_events__unique") }})
      else (select count(*) from ({{ of_affected_visitor_days(ref("int_events__unique"), ["event_id"]) }}) as facts)
    end as event_count
  from {{ source("control", "run") }}
)

select expected.event_count as expected_count, found.event_count as found_count
from expected
cross join found
where expected.event_count <> found.event_count
