-- Only now and then is a pair of ids new, so history is summed up here once and every identity starts from it.
select
  visitor_day.anonymous_id,
  visitor_day.user_id,
  min(case when visitor_day.is_bot or visitor_day.event_date > run.data_through then 1 else 0 end) = 1 as is_bot
from {{ ref("int_activity__visitor_day") }} as visitor_day
cross join {{ source("control", "run") }} as run
group by visitor_day.anonymous_id, visitor_day.user_id
