with payments as (
  select
    *,
    coalesce(kind, case when order_id is not null then 'order' end) as stated_kind,
    -- A join that tests its left side alone, beside equal keys, runs as a nested loop: the test is part of the key.
    case when status = 'refunded' then refund_of end as refunded_id
  from {{ ref("stg_payments") }}
  where paid_date <= {{ data_through() }}
),

orders as (
  select
    order_id,
    ordered_date
  from {{ ref("stg_orders") }}
  where ordered_date <= {{ data_through() }}
),

-- A refund belongs to the month of the payment that it gives back, and to whom and what that was for where it does not say so.
originals as (
  select
    payment_id,
    account_id,
    user_id,
    stated_kind,
    order_id,
    paid_date
  from payments
  where status = 'succeeded'
),

-- A refund for an order names it, or a payment that names it, or has the order's id where that of a payment may stand.
named as (
  select
    payments.*,
    originals.account_id as original_account_id,
    originals.user_id as original_user_id,
    originals.paid_date as first_paid_date,
    coalesce(
      payments.stated_kind, originals.stated_kind, case when originals.payment_id is null and refunded.order_id is not null then 'order' end,
      'subscription'
    ) as paid_kind,
    coalesce(payments.order_id, originals.order_id, refunded.order_id) as named_order_id
  from payments
  left join originals on payments.refunded_id = originals.payment_id
  left join orders as refunded on payments.refunded_id = refunded.order_id
),

of_orders as (
  select
    *,
    case when paid_kind = 'order' then named_order_id end as paid_order_id
  from named
)

select
  payments.payment_id,
  case
    when payments.account_id is null and payments.user_id is null then payments.original_account_id else payments.account_id
  end as account_id,
  case when payments.account_id is null and payments.user_id is null then payments.original_user_id else payments.user_id end as user_id,
  payments.paid_at,
  payments.paid_date,
  case
    when payments.status = 'refunded' then coalesce(orders.ordered_date, payments.first_paid_date, payments.paid_date) else payments.paid_date
  end as original_paid_date,
  payments.paid_kind as kind,
  payments.currency as landed_currency,
  payments.amount as landed_amount,
  {{ in_reporting_currency("payments.amount", "payments.currency") }} as amount,
  payments.status,
  payments.refund_of,
  payments.paid_order_id as order_id,
  payments.arrived_date,
  payments.landed_date
from of_orders as payments
left join orders on payments.paid_order_id = orders.order_id
{{ fx_joins("payments.currency", "payments.paid_date") }}
