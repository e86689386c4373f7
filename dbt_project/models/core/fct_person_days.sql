with visitor_days as (
  select * from {{ ref("int_activity__visitor_day") }}
  where not is_bot and event_date <= {{ data_through() }}
),

internal_persons as (
  select * from {{ ref("int_identity__internal_persons") }}
)

select
  visitors.person_id,
  visitor_days.event_date,
  sum(visitor_days.event_count) as event_count,
  min(visitor_days.first_event_at) as first_event_at,
  max(visitor_days.last_event_at) as last_event_at,
  min(visitor_days.first_value_at) as first_value_at,
  sum(visitor_days.core_event_count) as core_event_count,
  min(visitor_days.first_onboarded_at) as first_onboarded_at,
  min(visitor_days.first_content_at) as first_content_at,
  sum(visitor_days.community_post_count) as community_post_count
from visitor_days
{{ join_visitors("visitor_days") }}
left join internal_persons on visitors.person_id = internal_persons.person_id
where internal_persons.person_id is null
group by visitors.person_id, visitor_days.event_date
