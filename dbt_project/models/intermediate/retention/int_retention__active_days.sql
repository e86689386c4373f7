-- What counts as a return: any event for those seen or signed up, an order for those who ordered.
with order_days as (
  select distinct identities.person_id, orders.ordered_date as active_date
  from {{ ref("fct_orders") }} as orders
  inner join {{ ref("int_identity__users") }} as identities on orders.user_id = identities.user_id
  where orders.is_purchase
)

select 'first_seen' as cohort_event, person_id, event_date as active_date
from {{ ref("int_activity__person_day") }}

union all

select 'signup' as cohort_event, person_id, event_date as active_date
from {{ ref("int_activity__person_day") }}

union all

select 'first_order' as cohort_event, person_id, active_date
from order_days
