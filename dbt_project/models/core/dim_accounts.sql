with accounts as (
  select * from {{ ref("stg_accounts") }}
),

subscriptions as (
  select * from {{ ref("stg_subscriptions") }}
  where changed_date <= {{ data_through() }}
),

payments as (
  select * from {{ ref("stg_payments") }}
  where paid_date <= {{ data_through() }}
),

signups as (
  select * from {{ ref("int_identity__signups") }}
),

first_sessions as (
  select * from {{ ref("fct_sessions") }}
  where session_number = 1
),

internal_accounts as (
  select * from {{ ref("int_identity__internal_accounts") }}
),

account_ids as (
  select account_id from accounts
  union distinct
  select account_id from signups
  union distinct
  select account_id from subscriptions
  union distinct
  select account_id from payments
),

-- An account came by the channel of the person who signed up first for it; of staff only what they state is known.
founders as (
  select
    signups.account_id,
    first_sessions.channel,
    coalesce(speakers.country, first_sessions.country) as country,
    row_number() over (partition by signups.account_id order by signups.signed_up_at, signups.user_id) as member_number
  from signups
  inner join signups as speakers on signups.person_id = speakers.person_id and speakers.user_number = 1
  left join first_sessions on signups.person_id = first_sessions.person_id
  where signups.account_id is not null
)

select
  account_ids.account_id,
  founders.channel,
  coalesce(accounts.country, founders.country) as country,
  accounts.industry,
  accounts.created_at,
  accounts.created_date
from account_ids
left join founders on account_ids.account_id = founders.account_id and founders.member_number = 1
left join accounts on account_ids.account_id = accounts.account_id
left join internal_accounts on account_ids.account_id = internal_accounts.account_id
where account_ids.account_id is not null and internal_accounts.account_id is null
