-- The last complete day, which is scored, and every 8th day since there are four weeks of facts to look back on. Counted from one day
-- for all time, a date stays on the grid whatever night it is; and 8 has no factor in common with 7, so that the dates lie on all
-- weekdays alike: days since the last event or in a row, learnt on Sundays alone, would say something else on the Friday that is scored.
with days as (
  {{ calendar() | indent(2) }}
),

arrivals as (
  select min(arrived_date) as first_date
  from {{ ref("stg_subscriptions") }}
)

select
  days.calendar_date as as_of_date,
  days.calendar_date = {{ data_through() }} as is_current
from days
cross join arrivals
where
  days.calendar_date = {{ data_through() }}
  or (
    {{ periods_between("day", "date '2000-01-01'", "days.calendar_date") }} % 8 = 0
    and days.calendar_date between {{ days_after("arrivals.first_date", 28) }} and {{ data_through() }}
  )
