-- For people who inspect the build file. Models read `int_events__unique` or its daily extracts, so a night need not build this.
{{ config(materialized="view") }}

with unique_events as (
  select * from {{ ref("int_events__unique") }}
),

internal_persons as (
  select * from {{ ref("int_identity__internal_persons") }}
)

select
  unique_events.event_id,
  visitors.person_id,
  unique_events.event,
  unique_events.landed_event,
  unique_events.occurred_at,
  unique_events.event_date,
  unique_events.anonymous_id,
  unique_events.user_id,
  unique_events.account_id,
  unique_events.page,
  unique_events.referrer,
  unique_events.utm_source,
  unique_events.utm_medium,
  unique_events.utm_campaign,
  unique_events.device_type,
  unique_events.country,
  unique_events.city_tier,
  unique_events.feature,
  unique_events.value,
  unique_events.properties,
  unique_events.arrived_date
from unique_events
{{ join_visitors("unique_events") }}
left join internal_persons on visitors.person_id = internal_persons.person_id
where not unique_events.is_bot and internal_persons.person_id is null and unique_events.event_date <= {{ data_through() }}
