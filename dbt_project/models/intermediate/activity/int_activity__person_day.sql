select
  visitors.person_id,
  visitor_day.event_date,
  sum(visitor_day.event_count) as event_count,
  min(visitor_day.first_event_at) as first_event_at,
  max(visitor_day.last_event_at) as last_event_at,
  min(visitor_day.first_value_at) as first_value_at,
  sum(visitor_day.core_event_count) as core_event_count,
  min(visitor_day.first_onboarded_at) as first_onboarded_at,
  min(visitor_day.first_content_at) as first_content_at,
  sum(visitor_day.community_post_count) as community_post_count
from {{ ref("int_activity__visitor_day") }} as visitor_day
{{ join_visitors("visitor_day") }}
cross join {{ source("control", "run") }} as run
left join {{ ref("int_identity__internal_persons") }} as internal on visitors.person_id = internal.person_id
where not visitor_day.is_bot and internal.person_id is null and visitor_day.event_date <= run.data_through
group by visitors.person_id, visitor_day.event_date
