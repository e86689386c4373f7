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

-- Few columns are put in order; the others of a fragment are found again by its first event, which is no other's.
placed as (
  select
    landed_fragments.first_event_id,
    landed_fragments.event_date,
    landed_fragments.started_at,
    landed_fragments.ended_at,
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
  from placed
),

started as (
  select
    *,
    case when started_at <= {{ seconds_after("last_ended_at", silence) }} then 0 else 1 end as is_start
  from after_others
),

numbered as (
  select
    first_event_id,
    person_id,
    sum(is_start) over (partition by person_id order by started_at, first_event_id rows unbounded preceding) as session_number,
    is_start = 1 and coalesce(lead(is_start) over (partition by person_id order by started_at, first_event_id), 1) = 1 as is_alone
  from started
),

fragments as (
  select
    landed_fragments.*,
    numbered.person_id,
    numbered.session_number,
    numbered.is_alone
  from landed_fragments
  inner join numbered on landed_fragments.first_event_id = numbered.first_event_id
),

-- Most sessions are one fragment, which is taken as it is; only the others are put together.
joined as (
  select
    person_id,
    session_number,
    min(event_date) as session_date,
    min(started_at) as started_at,
    max(ended_at) as ended_at,
    sum(event_count) as event_count,
    sum(page_view_count) as page_view_count,
    {{ smallest_row(["touched_at", "touch_event_id"] + source_columns(), where="touched_at is not null") }} as first_source,
    {%- for column in visitor_columns() %}
    {{ smallest_row([column ~ "_at", column], where=column ~ " is not null") }} as first_{{ column }},
    {%- endfor %}
    {{ smallest_row(["landed_at", "landing_page"], where="landed_at is not null") }} as first_page,
    {{ largest_row(["left_at", "exit_page"], where="left_at is not null") }} as last_page
  from fragments
  where not is_alone
  group by person_id, session_number
),

touched as (
  select
    person_id,
    session_number,
    event_date as session_date,
    started_at,
    ended_at,
    event_count,
    page_view_count,
    landing_page,
    exit_page,
    {% for column in source_columns() + visitor_columns() %}
    {{ column }}{{ "," if not loop.last }}
    {% endfor %}
  from fragments
  where is_alone
  union all
  select
    person_id,
    session_number,
    session_date,
    started_at,
    ended_at,
    event_count,
    page_view_count,
    {{ field("first_page", "landing_page") }} as landing_page,
    {{ field("last_page", "exit_page") }} as exit_page,
    {% for column in source_columns() %}
    {{ field("first_source", column) }} as {{ column }},
    {% endfor %}
    {% for column in visitor_columns() %}
    {{ field("first_" ~ column, column) }} as {{ column }}{{ "," if not loop.last }}
    {% endfor %}
  from joined
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
  touched.landing_page,
  touched.exit_page,
  channels.channel,
  {% for column in source_columns() + visitor_columns() %}
  touched.{{ column }}{{ "," if not loop.last }}
  {% endfor %}
from touched
left join channels on {{ same_touch("touched", "channels") }}
