-- Cost and lifetime value speak of the same customers: of every month that is over, in every channel.
{{ config(meta={"dagster": {"ref": {"name": "mart_ltv_cac__channel_month"}}}) }}
with costs as (
  select month, channel, new_customer_count
  from {{ ref("mart_ltv_cac__channel_month") }}
  where is_complete and new_customer_count > 0
),

cohorts as (
  select cohort_month as month, segment as channel, customer_count
  from {{ ref("mart_ltv__cohort") }}
  where is_mature and age_months = 0 and dimension in ('all', 'channel')
)

select
  coalesce(costs.month, cohorts.month) as month,
  coalesce(costs.channel, cohorts.channel) as channel,
  costs.new_customer_count,
  cohorts.customer_count
from costs
full outer join cohorts on costs.month = cohorts.month and costs.channel = cohorts.channel
where costs.new_customer_count is distinct from cohorts.customer_count
