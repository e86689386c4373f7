{{ config(materialized="incremental", incremental_strategy="replace_visitor_days", on_schema_change="fail") }}

with events as (
  {{ of_affected_visitor_days(ref("int_events__unique")) }}
)

select
  event_date,
  anonymous_id,
  user_id,
  account_id,
  arrived_date,
  landed_date,
  is_bot,
  count(*) as event_count,
  min(occurred_at) as first_event_at,
  max(occurred_at) as last_event_at,
  min(case when event = 'value_achieved' then occurred_at end) as first_value_at,
  count(case when event in ({{ core_feature_events() }}) then event_id end) as core_event_count,
  min(case when event = 'onboarding_completed' then occurred_at end) as first_onboarded_at,
  min(case when event = 'content_viewed' then occurred_at end) as first_content_at,
  count(case when event = 'community_posted' then event_id end) as community_post_count
from events
group by event_date, anonymous_id, user_id, account_id, arrived_date, landed_date, is_bot
