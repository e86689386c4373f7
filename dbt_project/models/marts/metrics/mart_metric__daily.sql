with mrr_months as (
  select * from {{ ref("mart_mrr__month") }}
),

channel_months as (
  select * from {{ ref("mart_ltv_cac__channel_month") }}
),

ltv_cohorts as (
  select * from {{ ref("mart_ltv__cohort") }}
),

retention_cohorts as (
  select * from {{ ref("mart_retention__cohort") }}
),

quality_days as (
  select * from {{ ref("mart_data_quality__daily") }}
),

account_health as (
  select * from {{ ref("mart_health__account") }}
),

definitions as (
  select * from {{ ref("int_metrics__definitions") }}
),

requirements as (
  select * from {{ ref("int_metrics__requirements") }}
),

computed as (
  select * from {{ ref("int_metrics__periods") }}
),

rates as (
  select * from {{ ref("int_money__fx_daily") }}
),

published as (
  {{ published_figures(
    "mrr_months", "channel_months", "ltv_cohorts", "retention_cohorts", "quality_days", "account_health", "definitions"
  ) }}
),

figures as (
  select * from computed
  union all
  select * from published
),

valued as (
  select
    figures.*,
    {{ metric_value("definitions.kind", "figures") }} as value,
    {{ metric_period_start("definitions.period", days_after("figures.period_start", -1)) }} as previous_start
  from figures
  inner join definitions on figures.metric = definitions.metric
  inner join requirements on figures.metric = requirements.metric and requirements.is_met
),

-- The growth of a period that is not over, or after one that was not whole, is none yet.
measures as (
  select
    metric,
    period_start,
    dimension,
    segment,
    numerator,
    denominator,
    value,
    is_complete,
    previous_start
  from valued

  union all

  select
    definitions.metric,
    valued.period_start,
    valued.dimension,
    valued.segment,
    case when valued.is_complete and previous.is_complete then valued.value - previous.value end as numerator,
    case when valued.is_complete and previous.is_complete and valued.value is not null then previous.value end as denominator,
    case when valued.is_complete and previous.is_complete then (valued.value - previous.value) / nullif(previous.value, 0) end as value,
    valued.is_complete and previous.is_complete as is_complete,
    valued.previous_start
  from valued
  inner join valued as previous
    on
      valued.metric = previous.metric
      and valued.previous_start = previous.period_start
      and valued.dimension = previous.dimension
      and valued.segment = previous.segment
  inner join definitions on valued.metric = definitions.growth_of
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
  inner join definitions on measures.metric = definitions.metric
  left join rates
    on
      rates.currency = '{{ var("reporting_currency") }}'
      and rates.calendar_date = least({{ metric_period_end("definitions.period", "measures.period_start") }}, {{ data_through() }})
  window segment_in_order as (partition by measures.metric, measures.dimension, measures.segment order by measures.period_start)
)

select
  metric,
  period,
  period_start,
  dimension,
  segment,
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
