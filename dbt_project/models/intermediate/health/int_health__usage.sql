-- An account of which no event was ever known says nothing about its use; one that has fallen silent says that it has.
with heard_of as (
  select account_id, min(arrived_date) as known_date
  from {{ ref("int_activity__account_day") }}
  group by account_id
),

-- A term that no account could have earned by the day is left out, and the weights of the others are rescaled.
timed as (
  select
    as_of_date,
    max(session_microseconds_28d) > 0 as has_session_minutes
  from {{ ref("int_churn__activity") }}
  group by as_of_date
),

available as (
  select as_of_date, count(distinct feature) as feature_count
  from {{ ref("int_churn__features_used") }}
  group by as_of_date
),

used as (
  select as_of_date, account_id, count(*) as feature_count
  from {{ ref("int_churn__features_used") }}
  where days_before < 28
  group by as_of_date, account_id
),

shares as (
  select
    accounts.as_of_date,
    accounts.account_id,
    case when delivered.has_logins then least(coalesce(activity.logins_28d, 0) / 4 / 5, 1) end as login_share,
    case when available.feature_count > 0 then coalesce(used.feature_count, 0) / available.feature_count end as breadth_share,
    case
      when timed.has_session_minutes
        then least(coalesce(activity.session_microseconds_28d / nullif(activity.sessions_28d, 0) / 1800e6, 0), 1)
    end as session_share,
    (
      case when activity.values_28d > 0 then 1 else 0 end
      + case when activity.core_events_28d > activity.values_28d then 1 else 0 end
    ) / nullif(delivered.core_event_names, 0) as depth_share,
    case when delivered.core_event_names > 0 then least(coalesce(activity.core_events_28d, 0) / 8, 1) end as habit_share
  from {{ ref("int_health__accounts") }} as accounts
  inner join heard_of on accounts.account_id = heard_of.account_id and heard_of.known_date <= accounts.as_of_date
  inner join {{ ref("int_health__delivered") }} as delivered on accounts.as_of_date = delivered.as_of_date
  left join timed on accounts.as_of_date = timed.as_of_date
  left join {{ ref("int_churn__activity") }} as activity
    on accounts.as_of_date = activity.as_of_date and accounts.account_id = activity.account_id
  left join used on accounts.as_of_date = used.as_of_date and accounts.account_id = used.account_id
  left join available on accounts.as_of_date = available.as_of_date
)

select
  as_of_date,
  account_id,
  {{ weighted_mean_of_known({"login_share": 40, "breadth_share": 30, "session_share": 30}) }} as product_usage_score,
  {{ weighted_mean_of_known({"breadth_share": 40, "depth_share": 30, "habit_share": 30}) }} as feature_adoption_score,
  {{ names_of_unknown({"login_share": "logins", "breadth_share": "features", "session_share": "session_minutes"}) }} as missing_usage_terms,
  {{ names_of_unknown({"breadth_share": "features", "depth_share": "core_features", "habit_share": "core_events"}) }} as missing_adoption_terms
from shares
