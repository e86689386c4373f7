with days as (
  {{ calendar() | indent(2) }}
)

select
  calendar_date,
  {{ period_start("week", "calendar_date") }} as week_start_date,
  {{ period_start("month", "calendar_date") }} as month_start_date,
  {{ period_start("quarter", "calendar_date") }} as quarter_start_date,
  {{ period_start("year", "calendar_date") }} as year_start_date,
  extract(isodow from calendar_date) as iso_weekday
from days
