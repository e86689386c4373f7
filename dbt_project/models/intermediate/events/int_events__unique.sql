{{ config(materialized="incremental", incremental_strategy="replace_visitor_days", on_schema_change="fail") }}

with events as (
  select * from {{ ref("stg_events") }}
),

duplicates as (
  {{ of_affected_visitor_days(ref("int_events__duplicates"), visitor="kept.visitor_id") }}
),

-- A fact is known from the first day on which any of its copies arrived.
first_arrivals as (
  select event_id, min(arrived_date) as arrived_date
  from duplicates
  group by event_id
),

unique_events as (
  select
    events.*,
    least(events.arrived_date, first_arrivals.arrived_date) as known_date,
    {{ visitor_of("events") }} as visitor_id
  from events
  left join duplicates
    on
      events.arrived_date = duplicates.arrived_date
      and events.landed_file = duplicates.landed_file
      and events.landed_row = duplicates.landed_row
  left join first_arrivals on events.event_id = first_arrivals.event_id
  where duplicates.event_id is null
),

-- Of three columns, read once more: counted from the whole rows, these would all be held in memory at once.
counted_events as (
  select
    events.event_date,
    {{ visitor_of("events") }} as visitor_id
  from {{ ref("stg_events") }} as events
  left join duplicates
    on
      events.arrived_date = duplicates.arrived_date
      and events.landed_file = duplicates.landed_file
      and events.landed_row = duplicates.landed_row
  where duplicates.event_id is null
),

bot_days as (
  select event_date, visitor_id
  from counted_events
  group by event_date, visitor_id
  having count(*) > {{ var("bot_events_per_day") }}
)

select
  unique_events.event_id,
  coalesce(event_names.core_name, unique_events.event) as event,
  unique_events.event as landed_event,
  unique_events.occurred_at,
  unique_events.received_at,
  unique_events.anonymous_id,
  unique_events.user_id,
  unique_events.account_id,
  unique_events.session_id,
  unique_events.page,
  unique_events.referrer,
  unique_events.utm_source,
  unique_events.utm_medium,
  unique_events.utm_campaign,
  unique_events.utm_content,
  unique_events.utm_term,
  unique_events.device_type,
  unique_events.os,
  unique_events.country,
  unique_events.city_tier,
  unique_events.feature,
  unique_events.value,
  unique_events.properties,
  unique_events.event_date,
  unique_events.known_date as arrived_date,
  bot_days.visitor_id is not null as is_bot,
  unique_events.arrived_date as landed_date,
  unique_events.landed_file,
  unique_events.landed_row
from unique_events
left join {{ source("control", "event_names") }} as event_names
  on unique_events.event = event_names.landed_name
left join bot_days
  on unique_events.event_date = bot_days.event_date and unique_events.visitor_id = bot_days.visitor_id
