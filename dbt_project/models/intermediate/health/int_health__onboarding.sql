-- The first two weeks of accounts that are still in their first four; all of their days lie within the 90 that are looked at.
with accounts as (
  select as_of_date, account_id, first_paying_date
  from {{ ref("int_health__accounts") }}
  where is_paying and tenure_days < 28
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
  inner join {{ ref("int_accounts__account_days") }} as days
    on
      accounts.as_of_date = days.as_of_date
      and accounts.account_id = days.account_id
      and days.event_date between accounts.first_paying_date and {{ days_after("accounts.first_paying_date", 13) }}
  group by accounts.as_of_date, accounts.account_id
),

features as (
  select accounts.as_of_date, accounts.account_id, count(distinct features.feature) as week_1_features
  from accounts
  inner join {{ ref("int_accounts__feature_days") }} as features
    on
      accounts.as_of_date = features.as_of_date
      and accounts.account_id = features.account_id
      and features.event_date between accounts.first_paying_date and {{ days_after("accounts.first_paying_date", 6) }}
  group by accounts.as_of_date, accounts.account_id
),

tickets as (
  select accounts.as_of_date, accounts.account_id, count(*) as week_1_tickets
  from accounts
  inner join {{ ref("int_accounts__tickets") }} as tickets
    on
      accounts.as_of_date = tickets.as_of_date
      and accounts.account_id = tickets.account_id
      and {{ days_after("tickets.as_of_date", "-tickets.days_before") }}
      between accounts.first_paying_date and {{ days_after("accounts.first_paying_date", 6) }}
  group by accounts.as_of_date, accounts.account_id
)

select
  accounts.as_of_date,
  accounts.account_id,
  activity.week_1_logins > 3
  and coalesce(features.week_1_features, 0) > 5
  and coalesce(tickets.week_1_tickets, 0) = 0
  and activity.week_2_values > 0
  and activity.week_2_core_events > activity.week_2_values
  and activity.week_2_users > 3
  and coalesce(relationship.nps_mean, 0) > 7 as has_succeeded
from accounts
inner join activity on accounts.as_of_date = activity.as_of_date and accounts.account_id = activity.account_id
left join features on accounts.as_of_date = features.as_of_date and accounts.account_id = features.account_id
left join tickets on accounts.as_of_date = tickets.as_of_date and accounts.account_id = tickets.account_id
left join {{ ref("int_health__relationship") }} as relationship
  on accounts.as_of_date = relationship.as_of_date and accounts.account_id = relationship.account_id
