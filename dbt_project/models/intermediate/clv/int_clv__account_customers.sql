-- The next payment of an account, as the state of its subscriptions on the last complete day says.
with renewals as (
  select
    account_id,
    min(renews_date) as renews_date
  from {{ ref("int_money__paying_states") }}
  where through_date >= {{ data_through() }} and renews_date > {{ data_through() }}
  group by account_id
),

months as (
  select * from {{ ref("int_money__account_months") }}
  where month = {{ period_start("month", data_through()) }}
),

spells as (
  select * from {{ ref("int_clv__subscription_spells") }}
),

customers as (
  select * from {{ ref("dim_customers") }}
  where customer_kind = 'account'
),

margins as (
  select * from {{ ref("int_clv__observed_margins") }}
),

paying as (
  select
    months.account_id,
    months.mrr,
    spells.plan,
    {{ periods_between("month", "spells.first_month", "months.month") }} as tenure_months,
    renewals.renews_date
  from months
  inner join spells
    on months.account_id = spells.account_id and months.month = spells.last_month
  left join renewals on months.account_id = renewals.account_id
)

select
  customers.customer_id,
  customers.cohort_month,
  coalesce(customers.channel, '(none)') as channel,
  coalesce(customers.country, '(none)') as country,
  paying.plan,
  paying.tenure_months,
  {{ whole_months_between("customers.first_paid_date", data_through()) }} as age_months,
  -- Whatever the contract says, this month's payment is made: the next one comes in the next month at the earliest.
  case when paying.account_id is not null then greatest(
    {{ whole_months_between("customers.first_paid_date", "coalesce(paying.renews_date, " ~ data_through() ~ ")") }},
    {{ whole_months_between("customers.first_paid_date", data_through()) }} + 1
  ) end as next_payment_month,
  coalesce(paying.mrr, 0) * {{ var("gross_margin") }} as monthly_margin,
  {%- for horizon in clv_horizons() %}
  margins.margin_{{ horizon }}m{{ "," if not loop.last }}
  {%- endfor %}
from customers
inner join margins on customers.customer_id = margins.customer_id
left join paying on customers.customer_id = 'c:' || paying.account_id
