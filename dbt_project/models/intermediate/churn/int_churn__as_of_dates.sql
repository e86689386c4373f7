-- Every week's last day since there are four weeks of facts to look back on, and the last complete day, which is scored.
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
    dates.calendar_date = {{ days_after("dates.week_start_date", 6) }}
    and dates.calendar_date between {{ days_after("arrivals.first_date", 28) }} and run.data_through
  )
