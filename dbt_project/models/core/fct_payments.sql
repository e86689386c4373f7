with payments as (
  select * from {{ ref("stg_payments") }}
),

-- A refund belongs to the month of the payment that it gives back.
refunded as (
  select payment_id, paid_date
  from payments
  where status = 'succeeded'
)

select
  payments.payment_id,
  payments.account_id,
  payments.user_id,
  payments.paid_at,
  payments.paid_date,
  coalesce(refunded.paid_date, payments.paid_date) as original_paid_date,
  coalesce(payments.kind, 'subscription') as kind,
  payments.currency as landed_currency,
  payments.amount as landed_amount,
  {{ in_reporting_currency("payments.amount", "payments.currency") }} as amount,
  payments.status,
  payments.refund_of,
  payments.arrived_date
from payments
left join refunded on payments.status = 'refunded' and payments.refund_of = refunded.payment_id
{{ fx_joins("payments.currency", "payments.paid_date") }}
