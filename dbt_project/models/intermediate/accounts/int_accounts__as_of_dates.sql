-- The last complete day, which is scored, and every 8th day since there are four weeks of facts to look back on. Counted from one day
-- for all time, a date stays on the grid whatever night it is; and 8 has no factor in common with 7, so that the dates lie on all
-- weekdays alike: days since the last event or in a row, learnt on Sundays alone, would say something else on the Friday that is scored.
with arrivals as (
  select min(arrived_date) as first_date
  from {{ ref("stg_subscriptions") }}
)

select
  dates.calendar_date as as_of_date,
  dates.calendar_date = run.data_through as is_current
from {{ ref("dim_date") }} as dates
cross join arrivals
cross join {{ source("control", "run") }} as run
where
  dates.calendar_date = run.data_through
  or (
    {{ periods_between("day", "date '2000-01-01'", "dates.calendar_date") }} % 8 = 0
    and dates.calendar_date between {{ days_after("arrivals.first_date", 28) }} and run.data_through
  )
