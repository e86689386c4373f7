with features_used as (
  select as_of_date, account_id, count(*) as features_used_28d
  from {{ ref("int_churn__features_used") }}
  where days_before < 28
  group by as_of_date, account_id
),

tickets as (
  select
    as_of_date,
    account_id,
    count(case when days_before < 30 then ticket_id end) as tickets_30d,
    count(case when days_before < 30 and is_severe then ticket_id end) as severe_tickets_30d,
    count(case when is_unsolved then ticket_id end) as unsolved_tickets
  from {{ ref("int_accounts__tickets") }}
  group by as_of_date, account_id
),

failed_payments as (
  select days.as_of_date, payments.account_id, count(*) as failed_payments_90d
  from {{ ref("int_accounts__days") }} as days
  inner join {{ ref("stg_payment_states") }} as payments
    on days.calendar_date = payments.paid_date and {{ is_known_on("payments", "days.as_of_date") }}
  where payments.status = 'failed'
  group by days.as_of_date, payments.account_id
)

select
  paying.as_of_date,
  paying.account_id,
  dates.is_current,
  coalesce(activity.events_7d, 0) as events_7d,
  coalesce(activity.events_prior_28d, 0) as events_prior_28d,
  (activity.events_7d / 7) / (nullif(activity.events_prior_28d, 0) / 28) as usage_ratio,
  -- In whole numbers: seven tenths of 28 days' events against four times those of 7.
  case when 40 * activity.events_7d < 7 * activity.events_prior_28d then 1 else 0 end as is_usage_down,
  coalesce(tickets.tickets_30d, 0) as tickets_30d,
  coalesce(tickets.severe_tickets_30d, 0) as severe_tickets_30d,
  coalesce(tickets.unsolved_tickets, 0) as unsolved_tickets,
  coalesce(features_used.features_used_28d, 0) as features_used_28d,
  coalesce(activity.core_events_28d, 0) as core_events_28d,
  coalesce(activity.active_days_28d, 0) as active_days_28d,
  coalesce(activity.active_users_28d, 0) as active_users_28d,
  coalesce(activity.sessions_28d, 0) as sessions_28d,
  coalesce(activity.streak_days, 0) as streak_days,
  activity.days_since_last_event,
  coalesce(failed_payments.failed_payments_90d, 0) as failed_payments_90d,
  paying.is_past_due,
  {{ periods_between("day", "paying.as_of_date", "paying.renews_date") }} as days_to_renewal,
  paying.is_annual,
  {{ periods_between("day", "paying.first_paying_date", "paying.as_of_date") }} as tenure_days,
  cast(paying.mrr_usd as double) as mrr_usd,
  cast(paying.seats as bigint) as seats
from {{ ref("int_churn__paying_accounts") }} as paying
inner join {{ ref("int_accounts__as_of_dates") }} as dates on paying.as_of_date = dates.as_of_date
left join {{ ref("int_churn__activity") }} as activity
  on paying.as_of_date = activity.as_of_date and paying.account_id = activity.account_id
left join features_used
  on paying.as_of_date = features_used.as_of_date and paying.account_id = features_used.account_id
left join tickets
  on paying.as_of_date = tickets.as_of_date and paying.account_id = tickets.account_id
left join failed_payments
  on paying.as_of_date = failed_payments.as_of_date and paying.account_id = failed_payments.account_id
