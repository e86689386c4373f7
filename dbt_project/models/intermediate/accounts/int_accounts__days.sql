with days as (
  {{ calendar_days(
    "(select " ~ days_after("min(as_of_date)", -89) ~ " from " ~ ref("int_accounts__as_of_dates") ~ ")",
    "(select max(as_of_date) from " ~ ref("int_accounts__as_of_dates") ~ ")"
  ) }}
)

select
  dates.as_of_date,
  days.calendar_date,
  {{ periods_between("day", "days.calendar_date", "dates.as_of_date") }} as days_before
from {{ ref("int_accounts__as_of_dates") }} as dates
inner join days on days.calendar_date between {{ days_after("dates.as_of_date", -89) }} and dates.as_of_date
