{%- set milestones = {
  "activation_7d": ("first_value_at", 7),
  "aha_conversion": ("first_value_at", 30),
  "onboarding_completion": ("first_onboarded_at", 30),
} %}

with signups as (
  select *
  from {{ ref("int_metrics__persons") }}
  where signed_up_at is not null
),

accounts as (
  select * from {{ ref("dim_accounts") }}
),

-- An account has paid when one of its users has.
first_payments as (
  select
    account_id,
    min(paid_at) as paid_at
  from {{ ref("fct_payments") }}
  where kind = 'subscription' and status = 'succeeded'
  group by account_id
)

-- What was reached before the sign-up is reached.
{%- for metric, (reached_at, days) in milestones.items() %}
select
  '{{ metric }}' as metric,
  signed_up_date as measured_date,
  channel,
  country,
  case when {{ reached_at }} <= {{ seconds_after("signed_up_at", days * 86400) }} then 1 else 0 end as numerator,
  1 as denominator
from signups

union all
{% endfor %}
select
  'time_to_value_minutes' as metric,
  {{ local_date("first_value_at") }} as measured_date,
  channel,
  country,
  greatest(cast({{ seconds_between("signed_up_at", "first_value_at") }} / 60 as decimal(18, 6)), 0) as numerator,
  1 as denominator
from signups
where first_value_at is not null

union all

select
  'free_to_paid' as metric,
  accounts.created_date as measured_date,
  accounts.channel,
  accounts.country,
  case when first_payments.paid_at <= {{ seconds_after("accounts.created_at", 30 * 86400) }} then 1 else 0 end as numerator,
  1 as denominator
from accounts
left join first_payments on accounts.account_id = first_payments.account_id
where accounts.created_date is not null
