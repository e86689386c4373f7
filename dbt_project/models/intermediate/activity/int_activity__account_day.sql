{{ config(materialized="incremental", incremental_strategy="replace_visitor_days", on_schema_change="fail") }}

with events as (
  {{ of_affected_visitor_days(ref("int_events__unique")) }}
  where kept.account_id is not null
),

-- Events within one window of the clock as long as the gap are one session, whatever lies between them.
windows as (
  select
    event_date,
    account_id,
    {{ visitor_of() }} as visitor_id,
    arrived_date,
    is_bot,
    {{ clock_window("occurred_at", var("session_gap_seconds")) }} as clock_window,
    min(occurred_at) as started_at,
    max(occurred_at) as ended_at,
    count(*) as event_count,
    count(case when event = 'logged_in' then event_id end) as login_count,
    count(case when event in ({{ core_feature_events() }}) then event_id end) as core_event_count,
    count(case when event = 'value_achieved' then event_id end) as value_count
  from events
  group by event_date, account_id, visitor_id, arrived_date, is_bot, clock_window
),

after_others as (
  select
    *,
    lag(ended_at) over (partition by event_date, account_id, visitor_id, arrived_date, is_bot order by clock_window) as last_ended_at
  from windows
),

joined as (
  select
    *,
    coalesce(started_at <= {{ seconds_after("last_ended_at", var("session_gap_seconds")) }}, false) as continues
  from after_others
)

select
  event_date,
  account_id,
  visitor_id,
  arrived_date,
  is_bot,
  cast(sum(event_count) as bigint) as event_count,
  cast(sum(login_count) as bigint) as login_count,
  cast(sum(core_event_count) as bigint) as core_event_count,
  cast(sum(value_count) as bigint) as value_count,
  count(case when not continues then clock_window end) as session_count,
  cast(sum({{ microseconds_between("case when continues then last_ended_at else started_at end", "ended_at") }}) as bigint) as session_microseconds
from joined
group by event_date, account_id, visitor_id, arrived_date, is_bot
