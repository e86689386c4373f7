{{ config(materialized="incremental", incremental_strategy="replace_days", on_schema_change="fail") }}

with events as (
  select events.*
  from {{ ref("fct_events") }} as events
  inner join {{ source("control", "affected_days") }} as affected
    on events.event_date = affected.event_date
)

select
  event_date,
  account_id,
  user_id,
  feature,
  arrived_date,
  count(*) as use_count
from events
where event = 'feature_used' and feature is not null and not is_bot
group by event_date, account_id, user_id, feature, arrived_date
