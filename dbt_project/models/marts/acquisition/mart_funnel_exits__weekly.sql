with steps as (
  select * from {{ ref("int_funnel__steps") }}
),

funnels as (
  select
    steps.funnel,
    max({{ window_days("steps") }}) as window_days
  from steps
  group by steps.funnel
),

placed as (
  select
    *,
    sum(exit_count) over (partition by funnel, step_number, week) as stopped_count,
    row_number() over (partition by funnel, step_number, week order by exit_count desc, exit_page asc) as exit_rank
  from {{ ref("int_funnel__exits") }}
)

select
  placed.funnel,
  placed.step_number,
  placed.week,
  placed.exit_page,
  steps.step,
  cast(placed.stopped_count as bigint) as stopped_count,
  placed.exit_count,
  placed.exit_count / placed.stopped_count as share_rate,
  cast(placed.exit_rank as integer) as exit_rank,
  coalesce({{ period_is_over("week", "placed.week", lag_days="funnels.window_days") }}, false) as is_mature
from placed
inner join steps on placed.funnel = steps.funnel and placed.step_number = steps.step_number
inner join funnels on placed.funnel = funnels.funnel
where placed.exit_rank <= 5
