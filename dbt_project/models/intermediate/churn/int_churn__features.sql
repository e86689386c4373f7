with features_used as (
  select paying.as_of_date, paying.account_id, count(distinct features.feature) as features_used_28d
  from {{ ref("int_churn__paying_accounts") }} as paying
  inner join {{ ref("int_activity__feature_day") }} as features
    on
      paying.account_id = features.account_id
      and features.event_date between {{ days_after("paying.as_of_date", -27) }} and paying.as_of_date
      and features.arrived_date <= paying.as_of_date
  group by paying.as_of_date, paying.account_id
),

failed_payments as (
  select paying.as_of_date, paying.account_id, count(*) as failed_payments_90d
  from {{ ref("int_churn__paying_accounts") }} as paying
  inner join {{ ref("stg_payments") }} as payments
    on
      paying.account_id = payments.account_id
      and payments.status = 'failed'
      and payments.paid_date between {{ days_after("paying.as_of_date", -89) }} and paying.as_of_date
      and payments.arrived_date <= paying.as_of_date
  group by paying.as_of_date, paying.account_id
)

select
  paying.as_of_date,
  paying.account_id,
  dates.is_current,
  cast(coalesce(activity.events_7d, 0) as bigint) as events_7d,
  cast(coalesce(activity.events_prior_28d, 0) as bigint) as events_prior_28d,
  (activity.events_7d / 7) / (nullif(activity.events_prior_28d, 0) / 28) as usage_ratio,
  coalesce(activity.active_days_28d, 0) as active_days_28d,
  coalesce(activity.active_users_28d, 0) as active_users_28d,
  coalesce(features_used.features_used_28d, 0) as features_used_28d,
  activity.days_since_last_event,
  coalesce(failed_payments.failed_payments_90d, 0) as failed_payments_90d,
  paying.is_past_due,
  {{ periods_between("day", "paying.as_of_date", "paying.renews_date") }} as days_to_renewal,
  {{ periods_between("day", "paying.first_paying_date", "paying.as_of_date") }} as tenure_days,
  cast(paying.mrr_usd as double) as mrr_usd,
  paying.is_annual,
  cast(paying.seats as bigint) as seats
from {{ ref("int_churn__paying_accounts") }} as paying
inner join {{ ref("int_churn__as_of_dates") }} as dates on paying.as_of_date = dates.as_of_date
left join {{ ref("int_churn__activity") }} as activity
  on paying.as_of_date = activity.as_of_date and paying.account_id = activity.account_id
left join features_used
  on paying.as_of_date = features_used.as_of_date and paying.account_id = features_used.account_id
left join failed_payments
  on paying.as_of_date = failed_payments.as_of_date and paying.account_id = failed_payments.account_id
