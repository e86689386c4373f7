-- A step that is not an event is delivered when what it is computed from is.
with facts as (
  select
    steps.funnel,
    steps.step_number,
    steps.step,
    steps.event,
    steps.window_seconds,
    max(case when delivered.fact is null then 0 else 1 end) as is_delivered
  from {{ ref("int_funnel__steps") }} as steps
  left join {{ ref("int_delivery__facts") }} as delivered
    on
      delivered.fact in ('events.event=' || steps.event, 'events.landed_event=' || steps.event)
      or (steps.event = 'active_on_third_day' and delivered.fact = 'events.event=value_achieved')
      or (steps.event = 'subscription_paid' and delivered.fact = 'payments')
  group by steps.funnel, steps.step_number, steps.step, steps.event, steps.window_seconds
)

select
  funnel,
  step_number,
  step,
  event,
  window_seconds,
  is_delivered = 1 as is_delivered,
  min(is_delivered) over (partition by funnel order by step_number rows unbounded preceding) = 1 as is_known
from facts
