-- A fact after `data_through` counts when its day has come.
with payments as (
  select payments.*
  from {{ ref("stg_payments") }} as payments
  cross join {{ source("control", "run") }} as run
  where payments.paid_date <= run.data_through
),

-- A refund belongs to the month of the payment that it gives back, and to whom and what that was for where it does not say so.
originals as (
  select payment_id, account_id, user_id, kind, paid_date
  from payments
  where status = 'succeeded'
)

select
  payments.payment_id,
  case when payments.account_id is null and payments.user_id is null then originals.account_id else payments.account_id end as account_id,
  case when payments.account_id is null and payments.user_id is null then originals.user_id else payments.user_id end as user_id,
  payments.paid_at,
  payments.paid_date,
  coalesce(originals.paid_date, payments.paid_date) as original_paid_date,
  coalesce(payments.kind, originals.kind, 'subscription') as kind,
  payments.currency as landed_currency,
  payments.amount as landed_amount,
  {{ in_reporting_currency("payments.amount", "payments.currency") }} as amount,
  payments.status,
  payments.refund_of,
  payments.arrived_date,
  payments.landed_date
from payments
left join originals on payments.status = 'refunded' and payments.refund_of = originals.payment_id
{{ fx_joins("payments.currency", "payments.paid_date") }}
