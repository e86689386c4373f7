-- The first two weeks of accounts that are still in their first four; all of their days lie within the 90 that are looked at.
with accounts as (
  select as_of_date, account_id, first_paying_date
  from {{ ref("int_health__accounts") }}
  where is_paying and tenure_days < 28
),

first_weeks as (
  select * from {{ ref("int_health__first_weeks") }}
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
  first_weeks.week_1_logins > 3
  and first_weeks.week_1_features > 5
  and coalesce(tickets.week_1_tickets, 0) = 0
  and first_weeks.week_2_values > 0
  and first_weeks.week_2_core_events > first_weeks.week_2_values
  and first_weeks.week_2_users > 3
  and coalesce(relationship.nps_mean, 0) > 7 as has_succeeded
from accounts
inner join first_weeks on accounts.as_of_date = first_weeks.as_of_date and accounts.account_id = first_weeks.account_id
left join tickets on accounts.as_of_date = tickets.as_of_date and accounts.account_id = tickets.account_id
left join {{ ref("int_health__relationship") }} as relationship
  on accounts.as_of_date = relationship.as_of_date and accounts.account_id = relationship.account_id
