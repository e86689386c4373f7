-- What counts as a return: any event for those seen or signed up, an order for those who ordered; an account is there as long as it pays.
with order_days as (
  select distinct
    person_id,
    ordered_date as active_date
  from {{ ref("fct_orders") }}
  where is_purchase and person_id is not null
),

day_cohorts as (
  select max(last_index) as last_index
  from {{ ref("retention_periods") }}
  where cohort_grain = 'day'
),

-- Accounts pay for years. Beyond the days that are published for day cohorts only the ends of weeks and months are asked for, and how
-- long it went on.
paid_days as (
  select distinct accounts.customer_id as person_id, dates.calendar_date as active_date
  from {{ ref("int_money__paying_spans") }} as states
  inner join {{ ref("dim_customers") }} as accounts on accounts.customer_id = 'c:' || states.account_id
  inner join {{ ref("dim_date") }} as dates on dates.calendar_date between states.from_date and states.through_date
  cross join day_cohorts
  where
    dates.calendar_date <= {{ days_after("accounts.first_paid_date", "day_cohorts.last_index") }}
    or dates.calendar_date = {{ period_last_day("week", "dates.week_start_date", 0) }}
    or dates.calendar_date = {{ period_last_day("month", "dates.month_start_date", 0) }}
    or dates.calendar_date = states.through_date
)

select 'first_seen' as cohort_event, person_id, event_date as active_date
from {{ ref("fct_person_days") }}

union all

select 'signup' as cohort_event, person_id, event_date as active_date
from {{ ref("fct_person_days") }}

union all

select 'first_order' as cohort_event, person_id, active_date
from order_days

union all

select 'first_payment' as cohort_event, person_id, active_date
from paid_days
