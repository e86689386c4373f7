with days as (
  {{ calendar_days("date '" ~ var("partition_start") ~ "'", "(select data_through + 366 from " ~ source("control", "run") ~ ")") }}
)

select
  calendar_date,
  {{ period_start("week", "calendar_date") }} as week_start_date,
  {{ period_start("month", "calendar_date") }} as month_start_date,
  {{ period_start("quarter", "calendar_date") }} as quarter_start_date,
  {{ period_start("year", "calendar_date") }} as year_start_date,
  extract(isodow from calendar_date) as iso_weekday
from days
