-- Who is active in a period or later was also active in an earlier period or later.
select later.cohort_event, later.cohort_grain, later.cohort_start, later.dimension, later.segment, later.period_index
from {{ ref("mart_retention__cohort") }} as later
inner join {{ ref("mart_retention__cohort") }} as earlier
  on
    later.cohort_event = earlier.cohort_event
    and later.cohort_grain = earlier.cohort_grain
    and later.cohort_start = earlier.cohort_start
    and later.dimension = earlier.dimension
    and later.segment = earlier.segment
    and later.rule = earlier.rule
    and later.period_index = earlier.period_index + 1
where later.rule = 'on_or_after' and later.retained_count > earlier.retained_count
