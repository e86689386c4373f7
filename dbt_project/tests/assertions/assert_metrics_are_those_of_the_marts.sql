-- Whoever looks a figure up in its own mart finds the same one, and other marts that count the same things agree.
{{ config(meta={"dagster": {"ref": {"name": "mart_metric__daily"}}}) }}
with acquisition as (
  select *, case when channel = 'all' then 'all' else 'channel' end as dimension
  from {{ ref("mart_ltv_cac__channel_month") }}
),

published as (
  select 'mrr' as metric, 'numerator' as measure, month as period_start, dimension, segment, cast(closing_mrr as double) as figure
  from {{ ref("mart_mrr__month") }}

  union all

  select 'paying_accounts' as metric, 'numerator' as measure, month as period_start, dimension, segment, closing_account_count as figure
  from {{ ref("mart_mrr__month") }}
  where dimension in ('all', 'channel', 'country')

  union all

  select 'cac' as metric, 'value' as measure, month as period_start, dimension, channel as segment, coalesce(blended_cac, paid_cac) as figure
  from acquisition
  where is_complete

  union all

  select 'marketing_roi' as metric, 'value' as measure, month as period_start, dimension, channel as segment, marketing_roi as figure
  from acquisition
  where is_complete

  union all

  select 'max_channel_share' as metric, 'numerator' as measure, month as period_start, 'all' as dimension, 'all' as segment, max(signup_count) as figure
  from acquisition
  where channel not in ('all', '(none)')
  group by month

  union all

  select 'signups' as metric, 'numerator' as measure, month as period_start, dimension, channel as segment, signup_count as figure
  from acquisition

  union all

  select
    'session_minutes_avg' as metric, 'denominator' as measure, {{ period_start("month", "date") }} as period_start, dimension, segment,
    sum(session_count) as figure
  from {{ ref("mart_engagement__daily") }}
  where dimension in ('all', 'channel', 'country')
  group by {{ period_start("month", "date") }}, dimension, segment

  union all

  select 'retention_12m' as metric, 'value' as measure, cohort_start as period_start, dimension, segment, retention_rate as figure
  from {{ ref("mart_retention__cohort") }}
  where rule = 'exact' and cohort_event = 'first_payment' and cohort_grain = 'month' and period_index = 12
)

select
  published.*,
  daily.numerator,
  daily.denominator,
  daily.value
from published
left join {{ ref("mart_metric__daily") }} as daily
  on
    published.metric = daily.metric
    and published.period_start = daily.period_start
    and published.dimension = daily.dimension
    and published.segment = daily.segment
where
  -- A cost per customer has four decimals there.
  abs(
    coalesce(published.figure, 0)
    - coalesce(case published.measure when 'numerator' then daily.numerator when 'denominator' then daily.denominator else daily.value end, 0)
  ) > case published.metric when 'cac' then 1e-4 else 1e-9 * (1 + abs(coalesce(published.figure, 0))) end
