{%- set dimensions = ["channel", "device", "country", "city_tier", "role"] %}
{%- set counts = ["active_count", "new_count", "retained_count", "resurrected_count", "core_feature_user_count", "feature_count", "streak_days"] %}
{%- set windows = {"wau": 7, "mau": 30} %}
{%- set segment_in_order = "partition by days.dimension, days.segment order by days.period_start" %}

with active_days as (
  select
    active_days.*,
    {% for dimension in dimensions %}
    persons.{{ dimension }}{{ "," if not loop.last }}
    {% endfor %}
  from {{ ref("int_engagement__active_days") }} as active_days
  inner join {{ ref("dim_persons") }} as persons on active_days.person_id = persons.person_id
),

-- A person lies in a trailing window from an active day on until as many days have passed without another. To know how many do, it is
-- enough to count by active day who enters the window then, and whose last day before leaving it that is.
active as (
  select
    active_date,
    dimension,
    segment,
    count(*) as active_count,
    sum(case when days_since_previous is null then 1 else 0 end) as new_count,
    sum(case when days_since_previous = 1 then 1 else 0 end) as retained_count,
    sum(case when days_since_previous > 1 then 1 else 0 end) as resurrected_count,
    sum(case when days_to_next = 1 then 0 else 1 end) as next_dormant_count,
    sum(case when is_core_user then 1 else 0 end) as core_feature_user_count,
    sum(feature_count) as feature_count,
    sum(streak_days) as streak_days,
    {% for window, days in windows.items() %}
    sum(case when days_since_previous < {{ days }} then 0 else 1 end) as {{ window }}_entering_count,
    sum(case when days_to_next < {{ days }} then 0 else 1 end) as {{ window }}_leaving_count{{ "," if not loop.last }}
    {% endfor %}
  from (
    {{ by_segment("active_days", ["active_date", "days_since_previous", "days_to_next", "streak_days", "is_core_user", "feature_count"],
      dimensions) | indent(4) }}
  ) as segmented
  group by active_date, dimension, segment
),

segments as (
  select dimension, segment, min(active_date) as first_date
  from active
  group by dimension, segment
),

days as (
  {{ spine("segments", "first_date", "day") | indent(2) }}
),

-- A day on which nobody of a segment was active is a row as any other: the day after is compared with it, and windows count rows.
counted as (
  select
    days.period_start as calendar_date,
    days.dimension,
    days.segment,
    {% for measure in counts %}
    coalesce(active.{{ measure }}, 0) as {{ measure }},
    {% endfor %}
    {% for window, days in windows.items() %}
    sum(active.{{ window }}_entering_count) over ({{ segment_in_order }} rows unbounded preceding)
    - coalesce(
      sum(active.{{ window }}_leaving_count) over ({{ segment_in_order }} rows between unbounded preceding and {{ days }} preceding), 0
    ) as {{ window }},
    {% endfor %}
    coalesce(lag(active.next_dormant_count) over ({{ segment_in_order }}), 0) as dormant_count
  from days
  left join active
    on
      days.dimension = active.dimension
      and days.segment = active.segment
      and days.period_start = active.active_date
),

sessions as (
  select
    sessions.session_date,
    sessions.started_at,
    sessions.ended_at,
    sessions.length_seconds,
    {% for dimension in dimensions %}
    persons.{{ dimension }}{{ "," if not loop.last }}
    {% endfor %}
  from {{ ref("fct_sessions") }} as sessions
  inner join {{ ref("dim_persons") }} as persons on sessions.person_id = persons.person_id
),

session_lengths as (
  select
    session_date,
    dimension,
    segment,
    count(*) as session_count,
    {{ average_seconds("started_at", "ended_at") }} / 60 as session_minutes_avg,
    {{ quantile("length_seconds", 0.5) }} / 60 as session_minutes_median
  from (
    {{ by_segment("sessions", ["session_date", "started_at", "ended_at", "length_seconds"], dimensions) | indent(4) }}
  ) as segmented
  group by session_date, dimension, segment
),

-- What nobody ever sent is unknown, not 0.
delivered as (
  select
    count(case when fact = 'events.feature' then fact end) > 0 as has_features,
    count(case when fact in ({{ core_event_facts() }}) then fact end) > 0 as has_core_events
  from {{ ref("int_delivery__facts") }}
)

select
  counted.calendar_date as date,
  counted.dimension,
  counted.segment,
  cast(counted.active_count as bigint) as active_count,
  cast(counted.wau as bigint) as wau,
  cast(counted.mau as bigint) as mau,
  counted.active_count / nullif(counted.mau, 0) as stickiness_rate,
  cast(counted.new_count as bigint) as new_count,
  cast(counted.retained_count as bigint) as retained_count,
  cast(counted.resurrected_count as bigint) as resurrected_count,
  cast(counted.dormant_count as bigint) as dormant_count,
  coalesce(session_lengths.session_count, 0) as session_count,
  session_lengths.session_minutes_avg,
  session_lengths.session_minutes_median,
  case when delivered.has_features then counted.feature_count / nullif(counted.active_count, 0) end as features_used_avg,
  case when delivered.has_core_events then cast(counted.core_feature_user_count as bigint) end as core_feature_user_count,
  counted.streak_days / nullif(counted.active_count, 0) as streak_days_avg
from counted
cross join delivered
left join session_lengths
  on
    counted.calendar_date = session_lengths.session_date
    and counted.dimension = session_lengths.dimension
    and counted.segment = session_lengths.segment
