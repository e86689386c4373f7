-- Whether somebody came back after a sign-up is told by events, whether an account still pays by subscriptions: of those who joined
-- before any were delivered it is unknown, so that they are in no cohort.
with delivered as (
  select
    {{ period_start("month", "min(case when fact = 'events' then first_date end)") }} as events_month,
    {{ period_start("month", "min(case when fact = 'subscriptions' then first_date end)") }} as subscriptions_month
  from {{ ref("int_delivery__facts") }}
),

persons as (
  select
    person_id,
    first_seen_date,
    signed_up_date,
    channel,
    device,
    country
  from {{ ref("dim_persons") }}
),

-- An account has no device.
accounts as (
  select
    customer_id as person_id,
    first_paid_date as cohort_date,
    channel,
    country
  from {{ ref("dim_customers") }}
  where customer_kind = 'account'
),

first_orders as (
  select
    person_id,
    min(ordered_date) as cohort_date
  from {{ ref("fct_orders") }}
  where is_purchase and person_id is not null
  group by person_id
),

cohorts as (
  select 'first_seen' as cohort_event, person_id, first_seen_date as cohort_date
  from persons
  where first_seen_date is not null

  union all

  select 'signup' as cohort_event, persons.person_id, persons.signed_up_date as cohort_date
  from persons
  cross join delivered
  where persons.signed_up_date >= delivered.events_month

  union all

  select 'first_order' as cohort_event, person_id, cohort_date
  from first_orders
)

select
  cohorts.cohort_event,
  cohorts.person_id,
  cohorts.cohort_date,
  persons.channel,
  persons.device,
  persons.country
from cohorts
inner join persons on cohorts.person_id = persons.person_id

union all

select 'first_payment' as cohort_event, accounts.person_id, accounts.cohort_date, accounts.channel, null as device, accounts.country
from accounts
cross join delivered
where accounts.cohort_date >= delivered.subscriptions_month
