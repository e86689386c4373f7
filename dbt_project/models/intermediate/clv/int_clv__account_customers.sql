-- The next payment of an account, as the state of its subscriptions on the last complete day says.
with renewals as (
  select states.account_id, min(states.renews_date) as renews_date
  from {{ ref("int_revenue__paying_states") }} as states
  cross join {{ source("control", "run") }} as run
  where states.through_date >= run.data_through and states.renews_date > run.data_through
  group by states.account_id
),

paying as (
  select
    months.account_id,
    months.mrr,
    spells.plan,
    {{ periods_between("month", "spells.first_month", "months.month") }} as tenure_months,
    renewals.renews_date
  from {{ ref("int_revenue__account_months") }} as months
  cross join {{ source("control", "run") }} as run
  inner join {{ ref("int_clv__subscription_spells") }} as spells
    on months.account_id = spells.account_id and months.month = spells.last_month
  left join renewals on months.account_id = renewals.account_id
  where months.month = {{ period_start("month", "run.data_through") }}
)

select
  customers.customer_id,
  customers.cohort_month,
  coalesce(customers.channel, '(none)') as channel,
  coalesce(customers.country, '(none)') as country,
  paying.plan,
  paying.tenure_months,
  {{ whole_months_between("customers.first_paid_date", "run.data_through") }} as age_months,
  -- Whatever the contract says, this month's payment is made: the next one comes in the next month at the earliest.
  case when paying.account_id is not null then greatest(
    {{ whole_months_between("customers.first_paid_date", "coalesce(paying.renews_date, run.data_through)") }},
    {{ whole_months_between("customers.first_paid_date", "run.data_through") }} + 1
  ) end as next_payment_month,
  coalesce(paying.mrr, 0) * {{ var("gross_margin") }} as monthly_margin,
  {%- for horizon in clv_horizons() %}
  margins.margin_{{ horizon }}m{{ "," if not loop.last }}
  {%- endfor %}
from {{ ref("dim_customers") }} as customers
cross join {{ source("control", "run") }} as run
inner join {{ ref("int_clv__observed_margins") }} as margins on customers.customer_id = margins.customer_id
left join paying on customers.customer_id = 'c:' || paying.account_id
where customers.customer_kind = 'account'
