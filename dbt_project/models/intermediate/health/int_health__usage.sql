-- An account of which no event was ever known says nothing about its use; one that has fallen silent says that it has.
with heard_of as (
  select account_id, min(arrived_date) as known_date
  from {{ ref("int_activity__account_day") }}
  group by account_id
),

available as (
  select as_of_date, count(distinct feature) as feature_count
  from {{ ref("int_churn__feature_days") }}
  group by as_of_date
),

used as (
  select as_of_date, account_id, count(distinct feature) as feature_count
  from {{ ref("int_churn__feature_days") }}
  where days_before < 28
  group by as_of_date, account_id
),

shares as (
  select
    accounts.as_of_date,
    accounts.account_id,
    least(coalesce(activity.logins_28d, 0) / 4 / 5, 1) as login_share,
    coalesce(used.feature_count / available.feature_count, 0) as breadth_share,
    least(coalesce(activity.session_microseconds_28d / nullif(activity.sessions_28d, 0) / 1800e6, 0), 1) as session_share,
    (
      case when activity.values_28d > 0 then 1 else 0 end
      + case when activity.core_events_28d > activity.values_28d then 1 else 0 end
    ) / 2 as depth_share,
    least(coalesce(activity.core_events_28d, 0) / 8, 1) as habit_share
  from {{ ref("int_health__accounts") }} as accounts
  inner join heard_of on accounts.account_id = heard_of.account_id and heard_of.known_date <= accounts.as_of_date
  left join {{ ref("int_churn__activity") }} as activity
    on accounts.as_of_date = activity.as_of_date and accounts.account_id = activity.account_id
  left join used on accounts.as_of_date = used.as_of_date and accounts.account_id = used.account_id
  left join available on accounts.as_of_date = available.as_of_date
)

select
  as_of_date,
  account_id,
  40 * login_share + 30 * breadth_share + 30 * session_share as product_usage_score,
  40 * breadth_share + 30 * depth_share + 30 * habit_share as feature_adoption_score
from shares
