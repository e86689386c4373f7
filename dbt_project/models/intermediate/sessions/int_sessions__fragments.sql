{{ config(materialized="incremental", incremental_strategy="replace_visitor_days", on_schema_change="fail") }}

with landed as (
  {{ of_affected_visitor_days(ref("int_events__unique")) }}
  where not kept.is_bot
),

events as (
  select *, {{ click_id_of("page") }} as click_id
  from landed
),

-- Events within one window of the clock as long as the gap are one session, whatever lies between them: only windows need be put in
-- order, and there are far fewer of them.
windows as (
  select
    event_date,
    anonymous_id,
    user_id,
    {{ clock_window("occurred_at", var("session_gap_seconds")) }} as clock_window,
    max(occurred_at) as ended_at,
    count(*) as event_count,
    sum(case when event = 'page_viewed' then 1 else 0 end) as page_view_count,
    {{ smallest_row(["occurred_at", "event_id"]) }} as first_event,
    {{ smallest_row(["occurred_at", "event_id"] + source_columns(), where=has_source()) }} as first_source,
    {%- for column in visitor_columns() %}
    {{ smallest_row(["occurred_at", column], where=column ~ " is not null") }} as first_{{ column }},
    {%- endfor %}
    {{ smallest_row(["occurred_at", "page"], where="page is not null") }} as first_page,
    {{ largest_row(["occurred_at", "page"], where="page is not null") }} as last_page
  from events
  group by event_date, anonymous_id, user_id, clock_window
),

after_others as (
  select
    *,
    lag(ended_at) over (partition by event_date, anonymous_id, user_id order by clock_window) as last_ended_at
  from windows
),

numbered as (
  select
    *,
    sum(case when {{ field("first_event", "occurred_at") }} > {{ seconds_after("last_ended_at", var("session_gap_seconds")) }} then 1 else 0 end) over (
      partition by event_date, anonymous_id, user_id order by clock_window rows unbounded preceding
    ) as fragment_number
  from after_others
),

fragments as (
  select
    event_date,
    anonymous_id,
    user_id,
    fragment_number,
    max(ended_at) as ended_at,
    sum(event_count) as event_count,
    sum(page_view_count) as page_view_count,
    min(first_event) as first_event,
    min(first_source) as first_source,
    {%- for column in visitor_columns() %}
    min(first_{{ column }}) as first_{{ column }},
    {%- endfor %}
    min(first_page) as first_page,
    max(last_page) as last_page
  from numbered
  group by event_date, anonymous_id, user_id, fragment_number
)

select
  event_date,
  anonymous_id,
  user_id,
  {{ field("first_event", "occurred_at") }} as started_at,
  {{ field("first_event", "event_id") }} as first_event_id,
  ended_at,
  cast(event_count as bigint) as event_count,
  cast(page_view_count as bigint) as page_view_count,
  {{ field("first_page", "occurred_at") }} as landed_at,
  {{ field("first_page", "page") }} as landing_page,
  {{ field("last_page", "occurred_at") }} as left_at,
  {{ field("last_page", "page") }} as exit_page,
  {{ field("first_source", "occurred_at") }} as touched_at,
  {{ field("first_source", "event_id") }} as touch_event_id,
  {% for column in source_columns() %}
  {{ field("first_source", column) }} as {{ column }},
  {% endfor %}
  {% for column in visitor_columns() %}
  {{ field("first_" ~ column, "occurred_at") }} as {{ column }}_at,
  {{ field("first_" ~ column, column) }} as {{ column }}{{ "," if not loop.last }}
  {% endfor %}
from fragments
