{%- set grains = ["day", "week", "month"] %}

with active_days as (
  select
    cohorts.cohort_event,
    cohorts.person_id,
    cohorts.cohort_date,
    cohorts.channel,
    cohorts.device,
    cohorts.country,
    active_days.active_date
  from {{ ref("int_retention__cohorts") }} as cohorts
  inner join {{ ref("int_retention__active_days") }} as active_days
    on
      cohorts.cohort_event = active_days.cohort_event
      and cohorts.person_id = active_days.person_id
      and cohorts.cohort_date <= active_days.active_date
),

{%- for grain in grains %}
{{ grain }}s as (
  -- A person's active days are distinct already.
  select {{ "distinct" if grain != "day" }}
    cohort_event,
    '{{ grain }}' as cohort_grain,
    {{ period_start(grain, "cohort_date") }} as cohort_start,
    person_id,
    channel,
    device,
    country,
    {{ periods_between(grain, period_start(grain, "cohort_date"), period_start(grain, "active_date")) }} as period_index
  from active_days
  -- Whether an account still pays is asked at the end of a period.
  where cohort_event <> 'first_payment' or active_date = {{ period_last_day(grain, period_start(grain, "active_date"), 0) }}
){{ "," if not loop.last }}
{%- endfor %}

{%- for grain in grains %}
select * from {{ grain }}s
{{ "union all" if not loop.last }}
{%- endfor %}
