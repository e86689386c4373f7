-- What customers paid, net of what they got back, is what the cohorts show: no row is lost between the facts and the mart. Compared
-- over the months that are over, with half a cent for each cell that was rounded.
with mart as (
  select sum(revenue) as revenue, count(*) as cell_count
  from {{ ref("mart_ltv__cohort") }}
  where dimension = 'all'
),

facts as (
  select coalesce(sum(amounts.revenue), 0) as revenue
  from {{ ref("fct_customer_amounts") }} as amounts
  inner join {{ ref("dim_customers") }} as customers on amounts.customer_id = customers.customer_id
  where {{ period_is_over("month", "greatest(" ~ period_start("month", "amounts.revenue_date") ~ ", customers.cohort_month)") }}
)

select mart.revenue as mart_revenue, facts.revenue as fact_revenue
from mart
cross join facts
where abs(coalesce(mart.revenue, 0) - facts.revenue) > 0.005 * mart.cell_count + 0.005
