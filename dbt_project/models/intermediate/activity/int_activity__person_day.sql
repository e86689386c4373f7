{%- set first_touch_order = [
  "visitor_days.first_event_at",
  "visitor_days.arrived_date",
  "coalesce(visitor_days.anonymous_id, '')",
  "coalesce(visitor_days.account_id, '')",
  "coalesce(visitor_days.user_id, '')",
] %}

with visitor_days as (
  select
    visitor_day.*,
    {{ person_id("visitor_day.user_id", "anonymous_users.user_id", "visitor_day.anonymous_id") }} as person_id
  from {{ ref("int_activity__visitor_day") }} as visitor_day
  left join {{ ref("int_identity__anonymous_users") }} as anonymous_users
    on visitor_day.anonymous_id = anonymous_users.anonymous_id
  where not visitor_day.is_bot
),

internal_users as (
  select user_id
  from {{ ref("stg_users") }}
  where is_internal
)

select
  visitor_days.person_id,
  visitor_days.event_date,
  sum(visitor_days.event_count) as event_count,
  min(visitor_days.first_event_at) as first_event_at,
  max(visitor_days.last_event_at) as last_event_at,
  min(visitor_days.first_value_at) as first_value_at,
  {% for column in first_touch_columns() %}
  {{ first_value_by("visitor_days." ~ column, first_touch_order) }} as {{ column }}{{ "," if not loop.last }}
  {% endfor %}
from visitor_days
left join internal_users on visitor_days.person_id = 'u:' || internal_users.user_id
where internal_users.user_id is null
group by visitor_days.person_id, visitor_days.event_date
