select
  arrivals.arrived_date as date,
  arrivals.source,
  arrivals.landed_count,
  cast(coalesce(facts.fact_count, 0) as bigint) as accepted_count,
  arrivals.quarantined_count,
  cast(coalesce(repeats.repeated_count, 0) as bigint) as duplicate_count,
  cast(coalesce(repeats.repeated_count - repeats.conflict_count, 0) as bigint) as repeat_count,
  cast(coalesce(repeats.conflict_count, 0) as bigint) as conflict_count,
  case when arrivals.source not in ('users', 'accounts') then coalesce(delays.late_count, 0) end as late_count,
  cast(case when arrivals.source = 'events' then coalesce(facts.bot_count, 0) end as bigint) as bot_count,
  cast(facts.internal_count as bigint) as internal_count,
  coalesce(facts.fact_count, 0) / nullif(arrivals.landed_count, 0) as accepted_rate,
  arrivals.landed_count - arrivals.lake_count - arrivals.quarantined_count as landing_difference,
  cast(arrivals.lake_count - coalesce(facts.fact_count, 0) - coalesce(repeats.repeated_count, 0) as bigint) as fact_difference,
  cast(delays.delay_days_p50 as integer) as arrival_delay_days_p50,
  cast(delays.delay_days_p95 as integer) as arrival_delay_days_p95
from {{ source("control", "arrivals") }} as arrivals
left join {{ ref("int_quality__facts") }} as facts
  on arrivals.source = facts.source and arrivals.arrived_date = facts.landed_date
left join {{ ref("int_quality__repeats") }} as repeats
  on arrivals.source = repeats.source and arrivals.arrived_date = repeats.arrived_date
left join {{ ref("int_quality__delays") }} as delays
  on arrivals.source = delays.source and arrivals.arrived_date = delays.arrived_date
