{{ config(materialized="incremental", incremental_strategy="replace_as_of", on_schema_change="fail") }}

-- All days of the first two weeks lie within the 90 that are looked at.
with accounts as (
  select
    as_of_date,
    account_id,
    first_paying_date
  from {{ ref("int_health__accounts") }}
  where is_paying and tenure_days < 28
),

account_days as (
  {{ account_days() | indent(2) }}
),

feature_days as (
  {{ feature_days() | indent(2) }}
),

activity as (
  select
    accounts.as_of_date,
    accounts.account_id,
    sum(case when days.event_date < {{ days_after("accounts.first_paying_date", 7) }} then days.login_count else 0 end) as week_1_logins,
    sum(case when days.event_date >= {{ days_after("accounts.first_paying_date", 7) }} then days.core_event_count else 0 end) as week_2_core_events,
    sum(case when days.event_date >= {{ days_after("accounts.first_paying_date", 7) }} then days.value_count else 0 end) as week_2_values,
    count(distinct case
      when days.event_date >= {{ days_after("accounts.first_paying_date", 7) }} and days.visitor_id like 'u:%' then days.visitor_id
    end) as week_2_users
  from accounts
  inner join account_days as days
    on
      accounts.as_of_date = days.as_of_date
      and accounts.account_id = days.account_id
      and days.event_date between accounts.first_paying_date and {{ days_after("accounts.first_paying_date", 13) }}
  group by accounts.as_of_date, accounts.account_id
),

features as (
  select
    accounts.as_of_date,
    accounts.account_id,
    count(distinct days.feature) as week_1_features
  from accounts
  inner join feature_days as days
    on
      accounts.as_of_date = days.as_of_date
      and accounts.account_id = days.account_id
      and days.event_date between accounts.first_paying_date and {{ days_after("accounts.first_paying_date", 6) }}
  group by accounts.as_of_date, accounts.account_id
)

select
  activity.as_of_date,
  activity.account_id,
  cast(activity.week_1_logins as bigint) as week_1_logins,
  cast(activity.week_2_core_events as bigint) as week_2_core_events,
  cast(activity.week_2_values as bigint) as week_2_values,
  activity.week_2_users,
  coalesce(features.week_1_features, 0) as week_1_features
from activity
left join features on activity.as_of_date = features.as_of_date and activity.account_id = features.account_id
