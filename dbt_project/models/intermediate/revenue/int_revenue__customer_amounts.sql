-- Revenue and margin of every customer by the day they belong to. A shop customer is a person, a paying customer an account; an
-- account's payment without an account belongs to its user.
with net_orders as (
  select
    *,
    -- What was canceled earned nothing, whether or not the refund is written down; a return gives back what an order before it paid.
    case when is_purchase then amount - refunded_amount else least(amount - refunded_amount, 0) end as revenue
  from {{ ref("fct_orders") }}
  -- What has no exchange rate has no amount: `int_quality__unconverted` counts it.
  where amount is not null
),

-- Money given back on a later day moves on that day; what it belongs to stays the order.
cash_movements as (
  select
    user_id,
    ordered_date,
    ordered_date as cash_date,
    is_purchase as is_payment,
    case when is_purchase and refunded_date <> ordered_date then amount else revenue end as revenue,
    cost
  from net_orders
  where is_purchase or refunded_date = ordered_date

  union all

  select
    user_id,
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
    identities.person_id as customer_id,
    net_orders.ordered_date as revenue_date,
    net_orders.cash_date,
    net_orders.is_payment,
    net_orders.revenue,
    case when net_orders.cost is null then net_orders.revenue * {{ var("gross_margin") }} else net_orders.revenue - net_orders.cost end as margin
  from cash_movements as net_orders
  inner join {{ ref("int_identity__users") }} as identities on net_orders.user_id = identities.user_id
),

-- A user who signs up after data_through has no account yet.
users as (
  select users.user_id, users.account_id
  from {{ ref("stg_users") }} as users
  cross join {{ source("control", "run") }} as run
  where users.signed_up_date <= run.data_through
),

payments as (
  select
    coalesce('c:' || payments.account_id, 'c:' || users.account_id, identities.person_id) as customer_id,
    payments.original_paid_date as revenue_date,
    payments.paid_date as cash_date,
    payments.status = 'succeeded' as is_payment,
    case when payments.status = 'refunded' then -payments.amount else payments.amount end as revenue
  from {{ ref("fct_payments") }} as payments
  left join users on payments.user_id = users.user_id
  left join {{ ref("int_identity__users") }} as identities on payments.user_id = identities.user_id
  where payments.status in ('succeeded', 'refunded') and payments.kind in ('subscription', 'service')
    and payments.amount is not null
),

-- Costs of an order stay when its money goes back.
order_refunds as (
  select
    customer_id,
    revenue_date,
    cash_date,
    false as is_payment,
    -amount as revenue,
    case when is_cost_known then -amount else -amount * {{ var("gross_margin") }} end as margin
  from {{ ref("int_revenue__order_refunds") }}
  where outcome = 'counted'
)

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
where customer_id is not null
