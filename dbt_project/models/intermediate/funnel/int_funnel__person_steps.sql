with step_events as (
  select
    step_events.funnel,
    step_events.step_number,
    visitors.person_id,
    step_events.event_date,
    step_events.occurred_at,
    step_events.event_id
  from {{ ref("int_funnel__step_events") }} as step_events
  {{ join_visitors("step_events") }}
),

milestones as (
  select
    steps.funnel,
    steps.step_number,
    milestones.person_id,
    {{ local_date("milestones.occurred_at") }} as event_date,
    milestones.occurred_at,
    milestones.event as event_id
  from {{ ref("int_funnel__milestones") }} as milestones
  inner join {{ ref("int_funnel__steps") }} as steps on milestones.event = steps.event
),

all_steps as (
  select * from step_events
  union all
  select * from milestones
),

-- Of a clock that runs ahead nothing counts before its day has come.
external as (
  select all_steps.*
  from all_steps
  cross join {{ source("control", "run") }} as run
  inner join {{ ref("dim_persons") }} as persons on all_steps.person_id = persons.person_id
  where not persons.is_internal and all_steps.event_date <= run.data_through
),

-- An event may stand for several steps: it is tried at its deepest step first, so that it never serves two steps of one chain.
first_steps as (
  select *, min(step_number) over (partition by funnel, person_id, event_id) as first_step_number
  from external
)

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
from first_steps
