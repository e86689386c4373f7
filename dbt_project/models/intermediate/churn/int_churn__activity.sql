-- What an account did before each as-of date, from facts that had arrived by then.
with account_days as (
  select
    paying.as_of_date,
    paying.account_id,
    activity.user_id,
    activity.event_date,
    activity.event_count,
    {{ periods_between("day", "activity.event_date", "paying.as_of_date") }} as days_before
  from {{ ref("int_churn__paying_accounts") }} as paying
  inner join {{ ref("int_activity__visitor_day") }} as activity
    on
      paying.account_id = activity.account_id
      and activity.event_date between {{ days_after("paying.as_of_date", -89) }} and paying.as_of_date
      and activity.arrived_date <= paying.as_of_date
  where not activity.is_bot
)

select
  as_of_date,
  account_id,
  sum(case when days_before < 7 then event_count else 0 end) as events_7d,
  sum(case when days_before between 7 and 34 then event_count else 0 end) as events_prior_28d,
  count(distinct case when days_before < 28 then event_date end) as active_days_28d,
  count(distinct case when days_before < 28 then user_id end) as active_users_28d,
  min(days_before) as days_since_last_event
from account_days
group by as_of_date, account_id
