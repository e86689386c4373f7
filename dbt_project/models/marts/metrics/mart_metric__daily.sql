-- Figures that a mart publishes already are taken from it, so that nobody finds two answers.
with acquisition as (
  select
    *,
    case when channel = 'all' then 'all' else 'channel' end as dimension,
    channel as segment,
    case when channel = 'all' then new_customer_count else paid_customer_count end as customer_count
  from {{ ref("mart_ltv_cac__channel_month") }}
),

cohorts as (
  select
    *,
    'retention_' || case cohort_event when 'signup' then 'd' || period_index else period_index || 'm' end as metric,
    {{ period_start("month", "cohort_start") }} as month
  from {{ ref("mart_retention__cohort") }}
  where rule = 'exact' and (cohort_event, cohort_grain) in (('signup', 'day'), ('first_payment', 'month'))
),

-- A cohort's prediction is the same at every age.
lifetimes as (
  select *, cohort_month as month, is_mature as is_complete from {{ ref("mart_ltv__cohort") }}
  where age_months = 0
),

published as (
  {%- for metric, relation, numerator, denominator, condition in [
    ("mrr", ref("mart_mrr__month"), "closing_mrr", "null", "true"),
    ("cac", "acquisition", "spend", "customer_count", "true"),
    ("marketing_roi", "acquisition", "margin - spend", "spend", "true"),
    ("ltv", "lifetimes", "predicted_ltv_36m * customer_count", "customer_count", "predicted_ltv_36m is not null"),
    ("ltv_to_cac", "acquisition", "ltv_predicted * customer_count", "spend", "ltv_predicted is not null"),
    ("cac_to_ltv_alarm", "acquisition", "spend", "ltv_predicted * customer_count", "ltv_predicted is not null"),
  ] %}
  select '{{ metric }}' as metric, month as period_start, dimension, segment, {{ numerator }} as numerator, {{ denominator }} as denominator, is_complete
  from {{ relation }}
  where {{ condition }}
  union all
  {% endfor %}
  select
    'max_channel_share' as metric, month as period_start, 'all' as dimension, 'all' as segment,
    max(case when channel not in ('all', '(none)') then signup_count end) as numerator,
    sum(case when channel not in ('all', '(none)') then signup_count end) as denominator,
    min(is_complete) as is_complete
  from acquisition
  group by month
  union all
  -- The days of a month are pooled as far as they have had their time.
  select
    cohorts.metric, cohorts.month as period_start, cohorts.dimension, cohorts.segment,
    coalesce(sum(cohorts.retained_count), 0) as numerator,
    coalesce(sum(case when cohorts.is_mature then cohorts.cohort_count end), 0) as denominator,
    min(cohorts.is_mature and {{ period_is_over("month", "cohorts.month", lag_days="definitions.lag_days") }}) as is_complete
  from cohorts
  inner join {{ ref("int_metrics__definitions") }} as definitions on cohorts.metric = definitions.metric
  group by cohorts.metric, cohorts.month, cohorts.dimension, cohorts.segment
  union all
  select
    'data_accuracy' as metric, date as period_start, 'all' as dimension, 'all' as segment,
    sum(accepted_count) as numerator, sum(landed_count) as denominator, true as is_complete
  from {{ ref("mart_data_quality__daily") }}
  where date <= {{ data_through() }}
  group by date
  union all
  -- Decimals, whose sum does not depend on the order of the accounts.
  select
    'avg_health_score' as metric, as_of_date as period_start, 'all' as dimension, 'all' as segment,
    cast(sum(cast(health_score as decimal(12, 6))) as double) as numerator, count(*) as denominator, true as is_complete
  from {{ ref("mart_health__account") }}
  where health_score is not null
  group by as_of_date
),

-- One type for all, whose places no sum of them has used up.
figures as (
  select * from {{ ref("int_metrics__periods") }}
  union all
  select
    metric, period_start, dimension, segment,
    cast(numerator as decimal(24, 6)) as numerator, cast(denominator as decimal(24, 6)) as denominator, null as median, is_complete
  from published
),

valued as (
  select
    figures.*,
    {{ metric_value("definitions.kind", "figures") }} as value,
    {{ metric_period_start("definitions.period", days_after("figures.period_start", -1)) }} as previous_start
  from figures
  inner join {{ ref("int_metrics__definitions") }} as definitions on figures.metric = definitions.metric
  inner join {{ ref("int_metrics__requirements") }} as requirements on figures.metric = requirements.metric and requirements.is_met
),

-- The growth of a period that is not over, or after one that was not whole, is none yet.
measures as (
  select metric, period_start, dimension, segment, numerator, denominator, value, is_complete, previous_start
  from valued
  union all
  select
    definitions.metric, valued.period_start, valued.dimension, valued.segment,
    case when valued.is_complete and previous.is_complete then valued.value - previous.value end as numerator,
    case when valued.is_complete and previous.is_complete and valued.value is not null then previous.value end as denominator,
    case when valued.is_complete and previous.is_complete then (valued.value - previous.value) / nullif(previous.value, 0) end as value,
    valued.is_complete and previous.is_complete as is_complete, valued.previous_start
  from valued
  inner join valued as previous
    on
      valued.metric = previous.metric
      and valued.previous_start = previous.period_start
      and valued.dimension = previous.dimension
      and valued.segment = previous.segment
  inner join {{ ref("int_metrics__definitions") }} as definitions on valued.metric = definitions.growth_of
),

compared as (
  select
    measures.*,
    definitions.period,
    definitions.direction,
    case when lag(measures.period_start) over segment_in_order = measures.previous_start then lag(measures.value) over segment_in_order end as previous_value,
    -- What is counted of all has no target for a part. Money is aimed at in US dollars. Decimals, for a tenth of them is one, too.
    case
      when definitions.kind = 'count' and measures.dimension <> 'all' then null
      when definitions.unit = 'usd' then cast(definitions.target / rates.usd_rate as decimal(28, 6))
      else definitions.target
    end as target
  from measures
  inner join {{ ref("int_metrics__definitions") }} as definitions on measures.metric = definitions.metric
  left join {{ ref("int_money__fx_daily") }} as rates
    on
      rates.currency = '{{ var("reporting_currency") }}'
      and rates.calendar_date = least({{ metric_period_end("definitions.period", "measures.period_start") }}, {{ data_through() }})
  window segment_in_order as (partition by measures.metric, measures.dimension, measures.segment order by measures.period_start)
)

select
  metric, period, period_start, dimension, segment,
  cast(value as double) as value,
  cast(numerator as double) as numerator,
  cast(denominator as double) as denominator,
  cast(target as double) as target,
  direction,
  case when is_complete then {{ metric_status("value", "target", "direction") }} else 'grey' end as status,
  cast(previous_value as double) as previous_value,
  (value - previous_value) / nullif(abs(previous_value), 0) as change_rate,
  is_complete
from compared
