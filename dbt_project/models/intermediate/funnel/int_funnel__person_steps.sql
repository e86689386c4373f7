with persons as (
  select * from {{ ref("dim_persons") }}
),

-- Only what lies on an active day of a person counts: those of staff and those after the last complete day are none.
person_days as (
  select * from {{ ref("fct_person_days") }}
),

step_events as (
  select
    step_events.funnel,
    step_events.step_number,
    visitors.person_id,
    step_events.event_date,
    step_events.occurred_at,
    step_events.event_id,
    step_events.first_step_number
  from {{ ref("int_funnel__step_events") }} as step_events
  {{ join_visitors("step_events") }}
  inner join person_days
    on visitors.person_id = person_days.person_id and step_events.event_date = person_days.event_date
),

milestones as (
  select
    steps.funnel,
    steps.step_number,
    milestones.person_id,
    {{ local_date("milestones.occurred_at") }} as event_date,
    milestones.occurred_at,
    milestones.event as event_id,
    min(steps.step_number) over (partition by steps.funnel, milestones.person_id, milestones.event) as first_step_number
  from {{ ref("int_funnel__milestones") }} as milestones
  inner join {{ ref("int_funnel__steps") }} as steps on milestones.event = steps.event
  inner join persons on milestones.person_id = persons.person_id
),

all_steps as (
  select * from step_events
  union all
  select * from milestones
)

-- An event may stand for several steps: it is tried at its deepest step first, so that it never serves two steps of one chain.
select
  funnel,
  person_id,
  step_number,
  event_date,
  occurred_at,
  row_number() over (
    partition by funnel, person_id
    order by occurred_at asc, first_step_number asc, event_id asc, step_number desc
  ) as position
from all_steps
