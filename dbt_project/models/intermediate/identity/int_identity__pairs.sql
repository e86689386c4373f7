-- Only now and then is a pair of ids new, so history is summed up here once and every identity starts from it.
select
  anonymous_id,
  user_id,
  min(case when is_bot or event_date > {{ data_through() }} then 1 else 0 end) = 1 as is_bot
from {{ ref("int_activity__visitor_day") }}
group by anonymous_id, user_id
