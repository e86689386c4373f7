-- Users and accounts land as states, whenever they change: they have no delay.
with delays as (
  select
    source,
    arrived_date,
    row_count,
    {{ periods_between("day", "happened_date", "arrived_date") }} as delay_days,
    sum(row_count) over (
      partition by source, arrived_date order by happened_date desc rows between unbounded preceding and current row
    ) as running_count,
    sum(row_count) over (partition by source, arrived_date) as total_count
  from {{ source("control", "happened") }}
  where source not in ('users', 'accounts')
)

select
  source,
  arrived_date,
  cast(sum(case when delay_days > 1 then row_count else 0 end) as bigint) as late_count,
  min(case when running_count >= 0.5 * total_count then delay_days end) as delay_days_p50,
  min(case when running_count >= 0.95 * total_count then delay_days end) as delay_days_p95
from delays
group by source, arrived_date
