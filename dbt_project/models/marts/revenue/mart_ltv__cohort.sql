with customers as (
  select * from {{ ref("dim_customers") }}
),

customer_amounts as (
  select * from {{ ref("fct_customer_amounts") }}
),

predicted as (
  select * from {{ source("ml", "ltv_cohorts") }}
),

-- What a customer was given back before its first payment counts in its first month: nothing is lost.
amounts as (
  select
    customers.cohort_month,
    customers.channel,
    customers.country,
    greatest(
      {{ periods_between("month", "customers.cohort_month", period_start("month", "customer_amounts.revenue_date")) }}, 0
    ) as age_months,
    customer_amounts.revenue,
    customer_amounts.margin
  from customer_amounts
  inner join customers on customer_amounts.customer_id = customers.customer_id
),

sizes as (
  select cohort_month, dimension, segment, count(*) as customer_count
  from (
    {{ by_segment("customers", ["cohort_month"], ["channel", "country"]) | indent(4) }}
  ) as segmented
  group by cohort_month, dimension, segment
),

earned as (
  select cohort_month, dimension, segment, age_months, sum(revenue) as revenue, sum(margin) as margin
  from (
    {{ by_segment("amounts", ["cohort_month", "age_months", "revenue", "margin"], ["channel", "country"]) | indent(4) }}
  ) as segmented
  group by cohort_month, dimension, segment, age_months
),

months as (
  {{ spine("sizes", "cohort_month", "month") | indent(2) }}
),

cells as (
  select
    *,
    {{ periods_between("month", "cohort_month", "period_start") }} as age_months,
    {{ period_is_over("month", "period_start") }} as is_mature
  from months
),

accumulated as (
  select
    cells.*,
    coalesce(earned.revenue, 0) as revenue,
    coalesce(earned.margin, 0) as margin,
    sum(coalesce(earned.margin, 0)) over (
      partition by cells.cohort_month, cells.dimension, cells.segment
      order by cells.age_months rows between unbounded preceding and current row
    ) as cumulative_margin
  from cells
  left join earned
    on
      cells.cohort_month = earned.cohort_month
      and cells.dimension = earned.dimension
      and cells.segment = earned.segment
      and cells.age_months = earned.age_months
)

select
  accumulated.cohort_month,
  accumulated.dimension,
  accumulated.segment,
  cast(accumulated.age_months as integer) as age_months,
  accumulated.customer_count,
  cast(case when accumulated.is_mature then accumulated.revenue end as decimal(18, 2)) as revenue,
  cast(case when accumulated.is_mature then accumulated.margin end as decimal(18, 2)) as margin,
  cast(
    case when accumulated.is_mature then cast(accumulated.cumulative_margin as decimal(28, 6)) / accumulated.customer_count end
    as decimal(18, 4)
  ) as cumulative_margin_per_customer,
  {%- for horizon in clv_horizons() %}
  {%- for part in ["", "_p10", "_p90"] %}
  cast(predicted.predicted_ltv_{{ horizon }}m{{ part }} as decimal(18, 4)) as predicted_ltv_{{ horizon }}m{{ part }},
  {%- endfor %}
  {%- endfor %}
  coalesce(predicted.method, 'none: too few customers') as method,
  accumulated.is_mature
from accumulated
left join predicted
  on
    accumulated.cohort_month = predicted.cohort_month
    and accumulated.dimension = predicted.dimension
    and accumulated.segment = predicted.segment
