with payments as (
  select * from {{ ref("int_money__payments") }}
),

identities as (
  select * from {{ ref("int_identity__users") }}
),

signups as (
  select * from {{ ref("int_identity__signups") }}
),

internal_persons as (
  select * from {{ ref("int_identity__internal_persons") }}
),

internal_accounts as (
  select * from {{ ref("int_identity__internal_accounts") }}
),

-- A payment without an account is that of its user's account; without either it is the user's own.
owned as (
  select
    payments.*,
    identities.person_id,
    coalesce(payments.account_id, signups.account_id) as paying_account_id,
    -- Whether staff paid is asked only where no account did; as part of the key, since beside it the join would run as a nested loop.
    case when coalesce(payments.account_id, signups.account_id) is null then identities.person_id end as paying_person_id
  from payments
  left join signups on payments.user_id = signups.user_id
  left join identities on payments.user_id = identities.user_id
)

select
  owned.payment_id,
  owned.paying_account_id as account_id,
  owned.person_id,
  owned.user_id,
  owned.paid_at,
  owned.paid_date,
  owned.original_paid_date,
  owned.kind,
  owned.landed_currency,
  owned.landed_amount,
  owned.amount,
  owned.status,
  owned.refund_of,
  owned.order_id,
  owned.arrived_date,
  owned.landed_date
from owned
left join internal_accounts on owned.paying_account_id = internal_accounts.account_id
left join internal_persons on owned.paying_person_id = internal_persons.person_id
where internal_accounts.account_id is null and internal_persons.person_id is null
