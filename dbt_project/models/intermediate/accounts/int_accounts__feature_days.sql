{{ config(materialized="view") }}

with accounts as (
  select distinct as_of_date, account_id
  from {{ ref("int_accounts__subscriptions") }}
  where is_paying or is_trial
)

select
  days.as_of_date,
  days.days_before,
  features.event_date,
  features.account_id,
  features.feature,
  features.arrived_date
from {{ ref("int_accounts__days") }} as days
inner join {{ ref("int_activity__feature_day") }} as features
  on days.calendar_date = features.event_date and features.arrived_date <= days.as_of_date
inner join accounts on days.as_of_date = accounts.as_of_date and features.account_id = accounts.account_id
left join {{ ref("int_activity__bot_days") }} as bot_days
  on
    features.event_date = bot_days.event_date
    and coalesce('u:' || features.user_id, 'a:' || features.anonymous_id) = bot_days.visitor_id
    and bot_days.known_date <= days.as_of_date
where bot_days.visitor_id is null
