with customers as (
  select * from {{ ref("dim_customers") }}
  where customer_kind = 'person'
),

margins as (
  select * from {{ ref("int_clv__observed_margins") }}
),

days as (
  select
    customer_id,
    revenue_date,
    max(case when is_payment then 1 else 0 end) as has_purchase,
    sum(case when is_payment then 1 else 0 end) as order_count,
    sum(revenue) as revenue,
    sum(margin) as margin
  from {{ ref("fct_customer_amounts") }}
  group by customer_id, revenue_date
),

purchases as (
  select
    customers.customer_id,
    max(days.revenue_date) as last_paid_date,
    sum(days.order_count) as order_count,
    count(*) - 1 as frequency,
    sum(case when days.revenue_date > customers.first_paid_date then days.revenue else 0 end) as repeat_revenue,
    sum(days.revenue) as revenue,
    sum(days.margin) as margin
  from customers
  inner join days on customers.customer_id = days.customer_id
  where days.has_purchase = 1
  group by customers.customer_id
),

-- A customer's own few orders say little of their margin.
totals as (
  select
    cast(
      case when sum(revenue) > 0
        then least(greatest(cast(sum(margin) as decimal(28, 6)) / sum(revenue), -1), 1)
        else {{ var("gross_margin") }}
      end as double
    ) as order_margin
  from purchases
)

select
  customers.customer_id as person_id,
  customers.cohort_month,
  coalesce(customers.channel, '(none)') as channel,
  coalesce(customers.country, '(none)') as country,
  customers.first_paid_date,
  purchases.last_paid_date,
  purchases.order_count,
  purchases.frequency,
  {{ periods_between("day", "customers.first_paid_date", "purchases.last_paid_date") }} as recency_days,
  {{ periods_between("day", "customers.first_paid_date", data_through()) }} as age_days,
  cast(purchases.repeat_revenue as decimal(28, 6)) / nullif(purchases.frequency, 0) as mean_repeat_value,
  totals.order_margin,
  margins.revenue,
  margins.margin,
  {%- for horizon in clv_horizons() %}
  margins.margin_{{ horizon }}m,
  greatest(
    {{ periods_between("day", data_through(), period_last_day("month", "customers.first_paid_date", horizon - 1)) }}, 0
  ) as remaining_days_{{ horizon }}m{{ "," if not loop.last }}
  {%- endfor %}
from purchases
inner join customers on purchases.customer_id = customers.customer_id
inner join margins on purchases.customer_id = margins.customer_id
cross join totals
