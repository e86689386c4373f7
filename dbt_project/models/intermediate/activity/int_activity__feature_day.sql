{{ config(materialized="incremental", incremental_strategy="replace_visitor_days", on_schema_change="fail") }}

with events as (
  {{ of_affected_visitor_days(ref("int_events__unique")) }}
)

select
  event_date,
  account_id,
  anonymous_id,
  user_id,
  feature,
  arrived_date,
  is_bot,
  count(*) as use_count
from events
where event = 'feature_used' and feature is not null
group by event_date, account_id, anonymous_id, user_id, feature, arrived_date, is_bot
