-- Revenue and margin of every customer by the day they belong to. A shop customer is a person, a paying customer an account; an
-- account's payment without an account belongs to its user.
with orders as (
  select
    'u:' || orders.user_id as customer_id,
    orders.ordered_date as revenue_date,
    orders.is_purchase as is_payment,
    orders.amount - orders.refunded_amount as revenue,
    case
      when orders.cost is null then (orders.amount - orders.refunded_amount) * {{ var("gross_margin") }}
      else orders.amount - orders.refunded_amount - orders.cost
    end as margin
  from {{ ref("fct_orders") }} as orders
),

payments as (
  select
    coalesce('c:' || payments.account_id, 'c:' || users.account_id, 'u:' || payments.user_id) as customer_id,
    payments.original_paid_date as revenue_date,
    payments.status = 'succeeded' as is_payment,
    case when payments.status = 'refunded' then -payments.amount else payments.amount end as revenue
  from {{ ref("fct_payments") }} as payments
  left join {{ ref("stg_users") }} as users on payments.user_id = users.user_id
  where payments.status in ('succeeded', 'refunded') and payments.kind in ('subscription', 'service')
)

select
  customer_id,
  revenue_date,
  is_payment,
  revenue,
  margin
from orders

union all

select
  customer_id,
  revenue_date,
  is_payment,
  revenue,
  revenue * {{ var("gross_margin") }} as margin
from payments
where customer_id is not null
