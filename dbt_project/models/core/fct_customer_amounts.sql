-- Revenue and margin of every customer by the day they belong to. A shop customer is a person, a paying customer an account; an
-- account's payment without an account belongs to its user.
with counted_orders as (
  select * from {{ ref("fct_orders") }}
  -- What has no exchange rate has no amount: `int_quality__unconverted` counts it.
  where amount is not null
),

counted_payments as (
  select * from {{ ref("fct_payments") }}
  where amount is not null
),

counted_refunds as (
  select * from {{ ref("int_money__order_refunds") }}
  where outcome = 'counted'
),

internal_persons as (
  select * from {{ ref("int_identity__internal_persons") }}
),

net_orders as (
  select
    *,
    -- What was canceled earned nothing, whether or not the refund is written down; a return gives back what an order before it paid.
    case when is_purchase then amount - refunded_amount else least(amount - refunded_amount, 0) end as revenue
  from counted_orders
),

-- Money given back on a later day moves on that day; what it belongs to stays the order.
cash_movements as (
  select
    person_id,
    ordered_date,
    ordered_date as cash_date,
    is_purchase as is_payment,
    case when is_purchase and refunded_date <> ordered_date then amount else revenue end as revenue,
    cost
  from net_orders
  where is_purchase or refunded_date = ordered_date

  union all

  select
    person_id,
    ordered_date,
    refunded_date as cash_date,
    false as is_payment,
    case when is_purchase then -refunded_amount else revenue end as revenue,
    case when not is_purchase then cost when cost is not null then 0 end as cost
  from net_orders
  where refunded_date <> ordered_date
),

orders as (
  select
    person_id as customer_id,
    ordered_date as revenue_date,
    cash_date,
    is_payment,
    revenue,
    case when cost is null then revenue * {{ var("gross_margin") }} else revenue - cost end as margin
  from cash_movements
),

payments as (
  select
    coalesce('c:' || account_id, person_id) as customer_id,
    original_paid_date as revenue_date,
    paid_date as cash_date,
    status = 'succeeded' as is_payment,
    case when status = 'refunded' then -amount else amount end as revenue
  from counted_payments
  where status in ('succeeded', 'refunded') and kind in ('subscription', 'service')
),

-- Costs of an order stay when its money goes back.
order_refunds as (
  select
    counted_refunds.customer_id,
    counted_refunds.revenue_date,
    counted_refunds.cash_date,
    false as is_payment,
    -counted_refunds.amount as revenue,
    case
      when counted_refunds.is_cost_known then -counted_refunds.amount
      else -counted_refunds.amount * {{ var("gross_margin") }}
    end as margin
  from counted_refunds
  left join internal_persons on counted_refunds.customer_id = internal_persons.person_id
  where internal_persons.person_id is null
),

amounts as (
  select
    customer_id,
    revenue_date,
    cash_date,
    is_payment,
    revenue,
    margin
  from orders

  union all

  select
    customer_id,
    revenue_date,
    cash_date,
    is_payment,
    revenue,
    margin
  from order_refunds

  union all

  select
    customer_id,
    revenue_date,
    cash_date,
    is_payment,
    revenue,
    revenue * {{ var("gross_margin") }} as margin
  from payments
)

select
  customer_id,
  revenue_date,
  cash_date,
  is_payment,
  revenue,
  margin
from amounts
where customer_id is not null
