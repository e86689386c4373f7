-- What the orders themselves say decides, so that no refund counts twice.
with orders as (
  select * from {{ ref("int_money__orders") }}
),

payments as (
  select * from {{ ref("int_money__payments") }}
),

identities as (
  select * from {{ ref("int_identity__users") }}
),

buyers as (
  select
    identities.person_id,
    min(case when orders.is_purchase and orders.amount is not null then orders.ordered_date end) as first_ordered_date,
    max(case when orders.is_refunded or not orders.is_purchase then 1 else 0 end) as has_returned
  from orders
  inner join identities on orders.user_id = identities.user_id
  group by identities.person_id
)

select
  payments.payment_id,
  orders.order_id,
  identities.person_id as customer_id,
  payments.original_paid_date as revenue_date,
  payments.paid_date as cash_date,
  payments.amount,
  orders.cost is not null as is_cost_known,
  case
    when orders.is_refunded or (not orders.is_purchase and orders.landed_amount > 0) then 'stated_by_order'
    when orders.order_id is not null and orders.amount is null then 'order_unconverted'
    when orders.order_id is not null then 'counted'
    when payments.order_id is not null then 'order_unknown'
    when payments.refund_of is null then 'unlinked'
    when buyers.first_ordered_date is null or payments.paid_date < buyers.first_ordered_date then 'nothing_bought'
    when buyers.has_returned = 1 then 'ambiguous'
    else 'counted'
  end as outcome
from payments
left join orders on payments.order_id = orders.order_id
left join identities on coalesce(orders.user_id, payments.user_id) = identities.user_id
left join buyers on identities.person_id = buyers.person_id
-- What has no exchange rate has no amount: `int_quality__unconverted` counts it.
where payments.status = 'refunded' and payments.kind = 'order' and payments.amount is not null
