{%- set silence = var("session_gap_seconds") %}

-- Fragments are cut by device and at midnight, so that days can be replaced. Those of a person are joined again unless a silence lies
-- between them.
with landed_fragments as (
  select * from {{ ref("int_sessions__fragments") }}
  where event_date <= {{ data_through() }}
),

internal_persons as (
  select * from {{ ref("int_identity__internal_persons") }}
),

channels as (
  select * from {{ ref("int_identity__channels") }}
),

fragments as (
  select
    landed_fragments.*,
    visitors.person_id
  from landed_fragments
  {{ join_visitors("landed_fragments") }}
  left join internal_persons on visitors.person_id = internal_persons.person_id
  where internal_persons.person_id is null
),

after_others as (
  select
    *,
    max(ended_at) over (
      partition by person_id{{ ", event_date" if var("sessions_end_at_midnight") == "true" }}
      order by started_at, first_event_id
      rows between unbounded preceding and 1 preceding
    ) as last_ended_at
  from fragments
),

numbered as (
  select
    *,
    sum(case when started_at <= {{ seconds_after("last_ended_at", silence) }} then 0 else 1 end) over (
      partition by person_id order by started_at, first_event_id rows unbounded preceding
    ) as session_number
  from after_others
),

sessions as (
  select
    person_id,
    session_number,
    min(event_date) as session_date,
    max(ended_at) as ended_at,
    sum(event_count) as event_count,
    sum(page_view_count) as page_view_count,
    min(started_at) as started_at,
    {{ smallest_row(["touched_at", "touch_event_id"] + source_columns(), where="touched_at is not null") }} as first_source,
    {%- for column in visitor_columns() %}
    {{ smallest_row([column ~ "_at", column], where=column ~ " is not null") }} as first_{{ column }},
    {%- endfor %}
    {{ smallest_row(["landed_at", "landing_page"], where="landed_at is not null") }} as first_page,
    {{ largest_row(["left_at", "exit_page"], where="left_at is not null") }} as last_page
  from numbered
  group by person_id, session_number
),

touched as (
  select
    *,
    {% for column in source_columns() %}
    {{ field("first_source", column) }} as {{ column }},
    {% endfor %}
    {% for column in visitor_columns() %}
    {{ field("first_" ~ column, column) }} as {{ column }}{{ "," if not loop.last }}
    {% endfor %}
  from sessions
)

select
  touched.person_id,
  cast(touched.session_number as bigint) as session_number,
  touched.session_date,
  touched.started_at,
  touched.ended_at,
  {{ seconds_between("touched.started_at", "touched.ended_at") }} as length_seconds,
  cast(touched.event_count as bigint) as event_count,
  cast(touched.page_view_count as bigint) as depth,
  {{ field("touched.first_page", "landing_page") }} as landing_page,
  {{ field("touched.last_page", "exit_page") }} as exit_page,
  channels.channel,
  {% for column in source_columns() + visitor_columns() %}
  touched.{{ column }}{{ "," if not loop.last }}
  {% endfor %}
from touched
left join channels on {{ same_touch("touched", "channels") }}
