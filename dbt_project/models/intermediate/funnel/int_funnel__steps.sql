with configured as (
  select funnel, step_number, step, event, window_seconds
  from {{ source("control", "funnel_steps") }}
),

shipped as (
  select funnel, step_number, step, event, window_seconds
  from {{ ref("funnels") }}
  where funnel not in (select configured.funnel from configured)
)

select * from configured
union all
select * from shipped
