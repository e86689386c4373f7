select
  source,
  arrived_date,
  repeated_count,
  conflict_count
from {{ ref("stg_repeats") }}

union all

select
  'events' as source,
  arrived_date,
  count(*) as repeated_count,
  sum(case when is_conflict then 1 else 0 end) as conflict_count
from {{ ref("int_events__duplicates") }}
group by arrived_date
