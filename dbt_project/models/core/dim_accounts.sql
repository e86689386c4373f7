with account_ids as (
  select account_id from {{ ref("stg_accounts") }}
  union distinct
  select users.account_id
  from {{ ref("stg_users") }} as users
  cross join {{ source("control", "run") }} as run
  where users.signed_up_date <= run.data_through
  union distinct
  select subscriptions.account_id
  from {{ ref("stg_subscriptions") }} as subscriptions
  cross join {{ source("control", "run") }} as run
  where subscriptions.changed_date <= run.data_through
  union distinct
  select account_id from {{ ref("fct_payments") }}
),

-- An account came by the channel of the person who signed up first for it.
founders as (
  select
    users.account_id,
    persons.channel,
    persons.country,
    row_number() over (partition by users.account_id order by users.signed_up_at, users.user_id) as member_number,
    count(*) over (partition by users.account_id) as member_count,
    sum(case when persons.is_internal then 1 else 0 end) over (partition by users.account_id) as internal_count
  from {{ ref("stg_users") }} as users
  inner join {{ ref("int_identity__users") }} as identities on users.user_id = identities.user_id
  inner join {{ ref("dim_persons") }} as persons on identities.person_id = persons.person_id
  cross join {{ source("control", "run") }} as run
  where users.account_id is not null and users.signed_up_date <= run.data_through
)

select
  account_ids.account_id,
  founders.channel,
  coalesce(accounts.country, founders.country) as country,
  accounts.industry,
  coalesce(founders.internal_count = founders.member_count, false) as is_internal
from account_ids
left join founders on account_ids.account_id = founders.account_id and founders.member_number = 1
left join {{ ref("stg_accounts") }} as accounts on account_ids.account_id = accounts.account_id
where account_ids.account_id is not null
