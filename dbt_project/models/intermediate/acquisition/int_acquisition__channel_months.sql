-- One row per campaign and day, person and customer, each as a part of what it counts towards.
with parts as (
  select
    {{ period_start("month", "spend_date") }} as month,
    channel,
    cost as spend,
    impressions,
    clicks,
    0 as signup_count,
    0 as new_customer_count
  from {{ ref("fct_ad_spend") }}

  union all

  select
    {{ period_start("month", "signed_up_date") }} as month,
    channel,
    0 as spend,
    null as impressions,
    null as clicks,
    1 as signup_count,
    0 as new_customer_count
  from {{ ref("dim_persons") }}
  where signed_up_date is not null

  union all

  select
    cohort_month as month,
    channel,
    0 as spend,
    null as impressions,
    null as clicks,
    0 as signup_count,
    1 as new_customer_count
  from {{ ref("dim_customers") }}
),

known as (
  select
    *,
    coalesce(channel, '(none)') as known_channel
  from parts
),

counted as (
  select
    month,
    known_channel as channel,
    cast(sum(spend) as decimal(18, 2)) as spend,
    sum(impressions) as impressions,
    sum(clicks) as clicks,
    sum(signup_count) as signup_count,
    sum(new_customer_count) as new_customer_count
  from known
  group by month, known_channel
),

-- Whether anything says who signed up and who paid, and from which month on what was spent.
delivered as (
  select
    count(case when fact = 'users' then fact end) > 0 as has_users,
    count(case when fact in ('orders', 'payments') then fact end) > 0 as has_payments,
    {{ period_start("month", "min(case when fact = 'ad_spend' then first_date end)") }} as first_spend_month
  from {{ ref("int_delivery__facts") }}
)

select
  counted.month,
  counted.channel,
  case when counted.month >= delivered.first_spend_month then counted.spend end as spend,
  counted.impressions,
  counted.clicks,
  case when delivered.has_users then counted.signup_count end as signup_count,
  case when delivered.has_payments then counted.new_customer_count end as new_customer_count
from counted
cross join delivered
