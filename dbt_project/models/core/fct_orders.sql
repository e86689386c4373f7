with orders as (
  select * from {{ ref("int_money__orders") }}
),

identities as (
  select * from {{ ref("int_identity__users") }}
),

internal_persons as (
  select * from {{ ref("int_identity__internal_persons") }}
)

select
  orders.order_id,
  identities.person_id,
  orders.user_id,
  orders.ordered_at,
  orders.ordered_date,
  orders.refunded_date,
  orders.landed_currency,
  orders.landed_amount,
  orders.amount,
  orders.discount,
  orders.refunded_amount,
  orders.is_refunded,
  orders.cost,
  orders.items,
  orders.category,
  orders.store_id,
  orders.fulfilment,
  orders.status,
  orders.is_purchase,
  orders.arrived_date,
  orders.landed_date
from orders
left join identities on orders.user_id = identities.user_id
left join internal_persons on identities.person_id = internal_persons.person_id
where internal_persons.person_id is null
