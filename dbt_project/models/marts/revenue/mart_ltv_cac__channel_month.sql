{%- set counts = ["signup_count", "new_customer_count", "paid_customer_count"] %}
{%- set measures = ["spend", "impressions", "clicks"] + counts + ["revenue", "margin"] %}

with cohorts as (
  select * from {{ ref("int_revenue__channel_cohorts") }}
),

earned as (
  select
    cohort_month,
    channel,
    cast(sum(revenue) as decimal(18, 2)) as revenue,
    cast(sum(margin) as decimal(18, 2)) as margin
  from cohorts
  group by cohort_month, channel
),

-- The customers of a channel are paid for in months in which something was spent on it. Amounts are whole cents by now, so that the
-- channels add up to all.
channels as (
  select
    months.*,
    case when months.spend > 0 then 1 when months.spend = 0 then 0 end * months.new_customer_count as paid_customer_count,
    case when months.new_customer_count is not null then coalesce(earned.revenue, 0) end as revenue,
    case when months.new_customer_count is not null then coalesce(earned.margin, 0) end as margin
  from {{ ref("int_acquisition__channel_months") }} as months
  left join earned on months.month = earned.cohort_month and months.channel = earned.channel
),

months as (
  select month, channel, {{ measures | join(", ") }}
  from channels

  union all

  select
    month,
    'all' as channel,
    {%- for measure in measures %}
    sum({{ measure }}) as {{ measure }}{{ "," if not loop.last }}
    {%- endfor %}
  from channels
  group by month
),

-- By age what the customers have left, at the end of months that are over.
margins as (
  select cohort_month, channel, age_months, margin
  from cohorts

  union all

  select cohort_month, 'all' as channel, age_months, sum(margin) as margin
  from cohorts
  group by cohort_month, age_months
),

running as (
  select
    margins.cohort_month,
    margins.channel,
    margins.age_months,
    sum(margins.margin) over (
      partition by margins.cohort_month, margins.channel
      order by margins.age_months rows between unbounded preceding and current row
    ) as margin_so_far
  from margins
  where {{ period_is_over("month", "margins.cohort_month", "margins.age_months") }}
),

-- Cost and margin are shared by the same customers, so per customer the one reaches the other when the sums do.
paybacks as (
  select months.month, months.channel, min(running.age_months) as payback_months
  from months
  inner join running on months.month = running.cohort_month and months.channel = running.channel
  where months.spend > 0 and cast(running.margin_so_far as decimal(18, 2)) >= months.spend
  group by months.month, months.channel
),

marked as (
  select
    months.*,
    paybacks.payback_months,
    predicted.predicted_ltv_36m,
    sum(case when months.channel = 'all' then months.signup_count end) over (partition by months.month) as month_signup_count,
    {{ period_is_over("month", "months.month") }} as is_complete
  from months
  left join paybacks on months.month = paybacks.month and months.channel = paybacks.channel
  left join {{ source("ml", "ltv_cohorts") }} as predicted
    on
      months.month = predicted.cohort_month
      and months.channel = predicted.segment
      and predicted.dimension = case when months.channel = 'all' then 'all' else 'channel' end
),

priced as (
  select
    *,
    cast(case when is_complete then spend / nullif(paid_customer_count, 0) end as decimal(18, 4)) as paid_cac,
    cast(case when is_complete and channel = 'all' then spend / nullif(new_customer_count, 0) end as decimal(18, 4)) as blended_cac,
    cast(case when is_complete then predicted_ltv_36m end as decimal(18, 4)) as ltv_predicted
  from marked
),

-- Customers that nothing was spent on cost nothing, and lower what those of all channels cost.
judged as (
  select *, case when channel = 'all' then blended_cac else paid_cac end as cac
  from priced
)

select
  month,
  channel,
  cast(spend as decimal(18, 2)) as spend,
  cast(impressions as bigint) as impressions,
  cast(clicks as bigint) as clicks,
  {%- for count in counts %}
  cast({{ count }} as bigint) as {{ count }},
  {%- endfor %}
  cast(revenue as decimal(18, 2)) as revenue,
  cast(margin as decimal(18, 2)) as margin,
  paid_cac,
  blended_cac,
  ltv_predicted,
  ltv_predicted / nullif(cac, 0) as ltv_to_cac,
  cac > 3 * ltv_predicted as is_review_triggered,
  cast(payback_months as integer) as payback_months,
  case when is_complete then revenue / nullif(spend, 0) end as roas,
  case when is_complete then (margin - spend) / nullif(spend, 0) end as marketing_roi,
  case when is_complete then signup_count / nullif(month_signup_count, 0) end as signup_share_rate,
  is_complete
from judged
