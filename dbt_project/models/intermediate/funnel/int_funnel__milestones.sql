-- Steps that are no event of their own: what a person reached by being active, or by an account's payment.
with first_values as (
  select person_id, min(first_value_at) as first_value_at
  from {{ ref("fct_person_days") }}
  where first_value_at is not null
  group by person_id
),

days_after_value as (
  select
    person_day.person_id,
    person_day.first_event_at,
    row_number() over (partition by person_day.person_id order by person_day.event_date) as day_number
  from {{ ref("fct_person_days") }} as person_day
  inner join first_values on person_day.person_id = first_values.person_id
  where person_day.event_date > {{ local_date("first_values.first_value_at") }}
),

subscription_payments as (
  select
    account_id,
    user_id,
    min(paid_at) as paid_at
  from {{ ref("int_money__payments") }}
  where kind = 'subscription' and status = 'succeeded'
  group by account_id, user_id
),

-- A payment in the name of an account converts every one of its users; one in a user's name that user alone.
paying_persons as (
  select identities.person_id, payments.paid_at
  from subscription_payments as payments
  inner join {{ ref("int_identity__users") }} as identities on payments.user_id = identities.user_id
  union all
  select
    signups.person_id,
    payments.paid_at
  from subscription_payments as payments
  inner join {{ ref("int_identity__signups") }} as signups on payments.account_id = signups.account_id
  where payments.user_id is null
)

select person_id, 'active_on_third_day' as event, first_event_at as occurred_at
from days_after_value
where day_number = 3

union all

select person_id, 'subscription_paid' as event, min(paid_at) as occurred_at
from paying_persons
group by person_id
