-- What counts as a return: any event for those seen or signed up, an order for those who ordered.
with order_days as (
  select distinct 'u:' || user_id as person_id, ordered_date as active_date
  from {{ ref("fct_orders") }}
  where is_purchase
)

select 'first_seen' as cohort_event, person_id, event_date as active_date
from {{ ref("int_activity__person_day") }}

union all

select 'signup' as cohort_event, person_id, event_date as active_date
from {{ ref("int_activity__person_day") }}

union all

select 'first_order' as cohort_event, person_id, active_date
from order_days
