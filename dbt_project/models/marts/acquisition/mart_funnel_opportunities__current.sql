-- The last 28 entry days whose window is over; there are none without a window.
with days as (
  select
    steps.funnel,
    {{ days_after(data_through(), "-" ~ window_days("steps") ~ " - 27") }} as first_entry_date,
    {{ days_after(data_through(), "-" ~ window_days("steps")) }} as last_entry_date
  from {{ ref("int_funnel__steps") }} as steps
  where steps.step_number = 1
),

entries as (
  select entries.*
  from {{ ref("int_funnel__entries") }} as entries
  inner join days on entries.funnel = days.funnel and entries.entry_date between days.first_entry_date and days.last_entry_date
),

ranked as (
  select
    *,
    {{ chain_number() }} as chain_number
  from entries
),

known as (
  select
    *,
    lag(is_known) over (partition by funnel order by step_number) as is_previous_known
  from {{ ref("int_funnel__known_steps") }}
),

steps as (
  select
    known.*,
    coalesce(event_names.core_name, known.event) as core_event
  from known
  left join {{ source("control", "event_names") }} as event_names on known.event = event_names.landed_name
  where known.step_number > 1
),

depths as (
  select funnel, depth, count(*) as person_count
  from ranked
  where chain_number = 1
  group by funnel, depth
),

counted as (
  select
    steps.funnel,
    steps.step_number,
    steps.step,
    steps.core_event,
    days.first_entry_date,
    days.last_entry_date,
    case when days.last_entry_date is not null and steps.is_previous_known then coalesce(sum(depths.person_count), 0) end as entrant_count,
    case
      when days.last_entry_date is not null and steps.is_known
        then coalesce(sum(case when depths.depth < steps.step_number then depths.person_count end), 0)
    end as lost_person_count
  from steps
  inner join days on steps.funnel = days.funnel
  left join depths on steps.funnel = depths.funnel and depths.depth >= steps.step_number - 1
  group by steps.funnel, steps.step_number, steps.step, steps.core_event, steps.is_known, steps.is_previous_known, days.first_entry_date, days.last_entry_date
),

rated as (
  select
    *,
    lost_person_count / nullif(entrant_count, 0) as drop_off_rate,
    -- Exact, where a quotient just above a half may not be.
    coalesce(2 * lost_person_count > entrant_count, false) as is_opportunity
  from counted
),

ranked_steps as (
  select
    *,
    case
      when is_opportunity
        then row_number() over (partition by is_opportunity order by lost_person_count desc, funnel asc, step_number asc)
    end as opportunity_rank
  from rated
)

select
  ranked_steps.funnel,
  ranked_steps.step_number,
  ranked_steps.step,
  ranked_steps.first_entry_date,
  ranked_steps.last_entry_date,
  cast(ranked_steps.entrant_count as bigint) as entrant_count,
  cast(ranked_steps.lost_person_count as bigint) as lost_person_count,
  ranked_steps.drop_off_rate,
  case when ranked_steps.is_opportunity then case when ranked_steps.lost_person_count > 1000 then 'high' else 'medium' end end as potential_impact,
  cast(ranked_steps.opportunity_rank as integer) as opportunity_rank,
  case when ranked_steps.is_opportunity then coalesce(suggestions.suggested_experiment, others.suggested_experiment) end as suggested_experiment
from ranked_steps
left join {{ ref("experiment_suggestions") }} as suggestions on ranked_steps.core_event = suggestions.event
left join {{ ref("experiment_suggestions") }} as others on others.event = '(other)'
