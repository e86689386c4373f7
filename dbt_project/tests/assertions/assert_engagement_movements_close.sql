-- Who was active yesterday is retained or dormant today, in every segment and on every day; no day of a segment is left out.
with days as (
  select
    *,
    lag(active_count) over segment_in_order as previous_count,
    lag(date) over segment_in_order as previous_date
  from {{ ref("mart_engagement__daily") }}
  window segment_in_order as (partition by dimension, segment order by date)
)

select *
from days
where
  coalesce(previous_count, 0) <> retained_count + dormant_count
  or previous_date <> {{ days_after("date", -1) }}
