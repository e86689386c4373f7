with person_days as (
  select
    person_id,
    event_date as active_date,
    core_event_count > 0 as is_core_user,
    lag(event_date) over person_in_order as previous_date,
    lead(event_date) over person_in_order as next_date
  from {{ ref("fct_person_days") }}
  window person_in_order as (partition by person_id order by event_date)
),

-- A run of days without a gap begins on the last day that had none before it.
runs as (
  select
    *,
    max(case when previous_date is null or previous_date < {{ days_after("active_date", -1) }} then active_date end) over (
      partition by person_id order by active_date rows unbounded preceding
    ) as run_start_date
  from person_days
),

features as (
  select
    person_id,
    event_date as active_date,
    count(*) as feature_count
  from {{ ref("fct_person_features") }}
  group by person_id, event_date
)

select
  runs.person_id,
  runs.active_date,
  {{ periods_between("day", "runs.previous_date", "runs.active_date") }} as days_since_previous,
  {{ periods_between("day", "runs.active_date", "runs.next_date") }} as days_to_next,
  {{ periods_between("day", "runs.run_start_date", "runs.active_date") }} + 1 as streak_days,
  runs.is_core_user,
  coalesce(features.feature_count, 0) as feature_count
from runs
left join features on runs.person_id = features.person_id and runs.active_date = features.active_date
