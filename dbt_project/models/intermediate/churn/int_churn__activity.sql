{{ config(materialized="incremental", incremental_strategy="replace_as_of", on_schema_change="fail") }}

with account_days as (
  {{ account_days() | indent(2) }}
),

active_days as (
  select
    as_of_date,
    account_id,
    days_before,
    row_number() over (partition by as_of_date, account_id order by days_before) as day_number,
    min(days_before) over (partition by as_of_date, account_id) as first_days_before
  from account_days
  group by as_of_date, account_id, days_before
),

-- In the run of days that is not over the distance grows by one with every day.
streaks as (
  select as_of_date, account_id, count(*) as streak_days
  from active_days
  where first_days_before <= 1 and days_before = first_days_before + day_number - 1
  group by as_of_date, account_id
),

sums as (
  select
    as_of_date,
    account_id,
    cast(sum(case when days_before < 7 then event_count else 0 end) as bigint) as events_7d,
    cast(sum(case when days_before between 7 and 34 then event_count else 0 end) as bigint) as events_prior_28d,
    count(distinct case when days_before < 28 then days_before end) as active_days_28d,
    count(distinct case when days_before < 28 and visitor_id like 'u:%' then visitor_id end) as active_users_28d,
    cast(sum(case when days_before < 28 then session_count else 0 end) as bigint) as sessions_28d,
    cast(sum(case when days_before < 28 then session_microseconds else 0 end) as bigint) as session_microseconds_28d,
    cast(sum(case when days_before < 28 then login_count else 0 end) as bigint) as logins_28d,
    cast(sum(case when days_before < 28 then core_event_count else 0 end) as bigint) as core_events_28d,
    cast(sum(case when days_before < 28 then value_count else 0 end) as bigint) as values_28d,
    count(distinct case when days_before >= 62 and visitor_id like 'u:%' then visitor_id end) as active_users_first_28d,
    min(days_before) as days_since_last_event
  from account_days
  group by as_of_date, account_id
)

select sums.*, coalesce(streaks.streak_days, 0) as streak_days
from sums
left join streaks on sums.as_of_date = streaks.as_of_date and sums.account_id = streaks.account_id
