with arrivals as (
  select
    event_date,
    {{ visitor_of() }} as visitor_id,
    arrived_date,
    sum(event_count) as event_count
  from {{ ref("int_activity__visitor_day") }}
  where is_bot
  group by event_date, visitor_id, arrived_date
),

known as (
  select
    event_date,
    visitor_id,
    arrived_date,
    sum(event_count) over (partition by event_date, visitor_id order by arrived_date) as known_count
  from arrivals
)

select event_date, visitor_id, min(arrived_date) as known_date
from known
where known_count > {{ var("bot_events_per_day") }}
group by event_date, visitor_id
