{%- set depth = 12 %}

with person_steps as (
  select * from {{ ref("int_funnel__person_steps") }}
),

-- Between two first steps of one day with no second step in between, the earlier one can reach nothing that the later cannot reach
-- within a later window: one is kept. The first of the day stays as well, for those who never get further.
first_and_second as (
  select
    *,
    lead(step_number) over person_in_order as next_step_number,
    lead(event_date) over person_in_order as next_event_date,
    row_number() over (partition by funnel, person_id, event_date, step_number order by position) as day_position
  from person_steps
  where step_number <= 2
  window person_in_order as (partition by funnel, person_id order by position)
),

chain_1 as (
  select
    starts.funnel,
    starts.person_id,
    starts.event_date as entry_date,
    starts.occurred_at as reached_1_at,
    {{ seconds_after("starts.occurred_at", "steps.window_seconds") }} as window_ends_at,
    starts.position as position_1
  from first_and_second as starts
  inner join {{ ref("int_funnel__steps") }} as steps
    on starts.funnel = steps.funnel and steps.step_number = 1
  where
    starts.step_number = 1
    and (
      starts.next_step_number is null
      or starts.next_step_number = 2
      or starts.next_event_date <> starts.event_date
      or starts.day_position = 1
    )
),

-- From a given start, taking the earliest next step each time reaches as deep as any chain can, and ends earliest. A chain that
-- has ended is told by its step, since DuckDB's ASOF join pairs a NULL position with some row.
{% for step in range(2, depth + 1) %}
step_{{ step }} as (
  select funnel, person_id, occurred_at, position
  from person_steps
  where step_number = {{ step }}
),

chain_{{ step }} as (
  select
    chain.*,
    case
      when
        chain.position_{{ step - 1 }} is not null
        and (chain.window_ends_at is null or next_step.occurred_at <= chain.window_ends_at)
        then next_step.occurred_at
    end as reached_{{ step }}_at,
    case
      when
        chain.position_{{ step - 1 }} is not null
        and (chain.window_ends_at is null or next_step.occurred_at <= chain.window_ends_at)
        then next_step.position
    end as position_{{ step }}
  from chain_{{ step - 1 }} as chain
  {{ asof_next("chain", "step_" ~ step, "next_step", ["funnel", "person_id"], "position_" ~ (step - 1), "position") }}
),

{% endfor %}
measured as (
  select
    *,
    {% for step in range(1, depth + 1) %}
    case when reached_{{ step }}_at is null then 0 else 1 end{{ " +" if not loop.last }}
    {% endfor %}
    as depth,
    greatest(
      {% for step in range(1, depth + 1) %}
      reached_{{ step }}_at{{ "," if not loop.last }}
      {% endfor %}
    ) as ended_at
  from chain_{{ depth }}
),

-- A longer period's chain is one of its days': of two starts at one instant the first in order takes every step as early as can be.
ranked as (
  select
    *,
    {{ chain_number(["entry_date"], ["position_1 asc"]) }} as chain_number
  from measured
)

select
  funnel,
  person_id,
  entry_date,
  depth,
  ended_at,
  {% for step in range(1, depth + 1) %}
  reached_{{ step }}_at{{ "," if not loop.last }}
  {% endfor %}
from ranked
where chain_number = 1
