with visitor_days as (
  select * from {{ ref("int_activity__visitor_day") }}
  where not is_bot and event_date <= {{ data_through() }}
),

signups as (
  select * from {{ ref("int_identity__signups") }}
),

internal_persons as (
  select * from {{ ref("int_identity__internal_persons") }}
),

-- Staff activity on behalf of an account is not usage by the account.
of_accounts as (
  select
    coalesce(visitor_days.account_id, signups.account_id) as account_id,
    visitor_days.event_date,
    visitor_days.event_count,
    visitor_days.core_event_count
  from visitor_days
  {{ join_visitors("visitor_days") }}
  left join internal_persons on visitors.person_id = internal_persons.person_id
  left join signups on visitor_days.user_id = signups.user_id
  where internal_persons.person_id is null
)

select
  account_id,
  event_date,
  sum(event_count) as event_count,
  sum(core_event_count) as core_event_count
from of_accounts
where account_id is not null
group by account_id, event_date
