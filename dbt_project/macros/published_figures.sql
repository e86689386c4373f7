{#-
  Figures that marts publish already, taken from them so that nobody finds two answers: rows like those of int_metrics__periods. Each argument
  names a CTE with the rows of one mart: of months of recurring revenue, months of channels, cohorts of lifetime value, retention cohorts, days of
  data quality and accounts with their health; `definitions` those of int_metrics__definitions.
-#}
{% macro published_figures(mrr_months, channel_months, ltv_cohorts, retention_cohorts, quality_days, account_health, definitions) -%}
with acquisition as (
  select
    *,
    case when channel = 'all' then 'all' else 'channel' end as dimension,
    channel as segment,
    case when channel = 'all' then new_customer_count else paid_customer_count end as customer_count
  from {{ channel_months }}
),

-- A cohort's prediction is the same at every age.
lifetimes as (
  select
    *,
    cohort_month as month,
    is_mature as is_complete
  from {{ ltv_cohorts }}
  where age_months = 0
),

cohorts as (
  select
    *,
    'retention_' || case cohort_event when 'signup' then 'd' || period_index else period_index || 'm' end as metric,
    {{ period_start("month", "cohort_start") }} as month
  from {{ retention_cohorts }}
  where rule = 'exact' and (cohort_event, cohort_grain) in (('signup', 'day'), ('first_payment', 'month'))
),

figures as (
  {%- for metric, relation, numerator, denominator, condition in [
    ("mrr", mrr_months, "closing_mrr", "null", "true"),
    ("cac", "acquisition", "spend", "customer_count", "true"),
    ("marketing_roi", "acquisition", "margin - spend", "spend", "true"),
    ("ltv", "lifetimes", "predicted_ltv_36m * customer_count", "customer_count", "predicted_ltv_36m is not null"),
    ("ltv_to_cac", "acquisition", "ltv_predicted * customer_count", "spend", "ltv_predicted is not null"),
    ("cac_to_ltv_alarm", "acquisition", "spend", "ltv_predicted * customer_count", "ltv_predicted is not null"),
  ] %}
  select
    '{{ metric }}' as metric,
    month as period_start,
    dimension,
    segment,
    {{ numerator }} as numerator,
    {{ denominator }} as denominator,
    is_complete
  from {{ relation }}
  where {{ condition }}

  union all
  {% endfor %}

  select
    'max_channel_share' as metric,
    month as period_start,
    'all' as dimension,
    'all' as segment,
    max(case when channel not in ('all', '(none)') then signup_count end) as numerator,
    sum(case when channel not in ('all', '(none)') then signup_count end) as denominator,
    min(is_complete) as is_complete
  from acquisition
  group by month

  union all

  -- The days of a month are pooled as far as they have had their time.
  select
    cohorts.metric,
    cohorts.month as period_start,
    cohorts.dimension,
    cohorts.segment,
    coalesce(sum(cohorts.retained_count), 0) as numerator,
    coalesce(sum(case when cohorts.is_mature then cohorts.cohort_count end), 0) as denominator,
    min(cohorts.is_mature and {{ period_is_over("month", "cohorts.month", lag_days="definitions.lag_days") }}) as is_complete
  from cohorts
  inner join {{ definitions }} as definitions on cohorts.metric = definitions.metric
  group by cohorts.metric, cohorts.month, cohorts.dimension, cohorts.segment

  union all

  select
    'data_accuracy' as metric,
    date as period_start,
    'all' as dimension,
    'all' as segment,
    sum(accepted_count) as numerator,
    sum(landed_count) as denominator,
    true as is_complete
  from {{ quality_days }}
  where date <= {{ data_through() }}
  group by date

  union all

  -- Decimals, whose sum does not depend on the order of the accounts.
  select
    'avg_health_score' as metric,
    as_of_date as period_start,
    'all' as dimension,
    'all' as segment,
    cast(sum(cast(health_score as decimal(12, 6))) as double) as numerator,
    count(*) as denominator,
    true as is_complete
  from {{ account_health }}
  where health_score is not null
  group by as_of_date
)

-- One type for all, whose places no sum of them has used up.
select
  metric,
  period_start,
  dimension,
  segment,
  cast(numerator as decimal(24, 6)) as numerator,
  cast(denominator as decimal(24, 6)) as denominator,
  null as median,
  is_complete
from figures
{%- endmacro %}
