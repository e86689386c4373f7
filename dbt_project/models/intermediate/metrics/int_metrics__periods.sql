with measured as (
  {%- for area in ["acquisition", "activation", "engagement", "revenue", "service"] %}
  select metric, measured_date, channel, country, cast(numerator as decimal(24, 6)) as numerator, cast(denominator as bigint) as denominator
  from {{ ref("int_metrics__" ~ area) }}
  {{ "union all" if not loop.last }}
  {%- endfor %}
),

known as (
  select
    measured.*,
    definitions.kind,
    definitions.period,
    definitions.lag_days,
    {{ metric_period_start("definitions.period", "measured.measured_date") }} as period_start,
    {{ days_after("measured.measured_date", "definitions.lag_days") }} <= {{ data_through() }} as is_mature
  from measured
  inner join {{ ref("int_metrics__definitions") }} as definitions on measured.metric = definitions.metric
  where measured.measured_date <= {{ data_through() }}
),

begun as (
  select metric, kind, period, lag_days, min(measured_date) as first_date
  from known
  group by metric, kind, period, lag_days
),

-- What has not had its time yet is in no sum, but its period is there.
summed as (
  select
    metric,
    period_start,
    dimension,
    segment,
    sum(case when is_mature then numerator end) as numerator,
    sum(case when is_mature then denominator end) as denominator,
    {{ quantile("case when is_mature and kind = 'median' then numerator end", 0.5) }} as median
  from (
    {{ by_segment("known", ["metric", "kind", "period_start", "numerator", "denominator", "is_mature"], ["channel", "country"]) | indent(4) }}
  ) as segmented
  group by metric, period_start, dimension, segment
),

segments as (
  select metric, dimension, segment, min(period_start) as first_start
  from summed
  group by metric, dimension, segment
),

-- A calendar of its own: what is counted may be older than anything that dim_date knows.
days as (
  {{ calendar_days("(select min(first_date) from begun)", data_through()) }}
),

calendar as (
  {%- for period in metric_periods() %}
  select distinct
    '{{ period }}' as period,
    {{ period_start(period, "calendar_date") }} as period_start,
    {{ period_last_day(period, period_start(period, "calendar_date"), 0) }} as last_date
  from days
  {{ "union all" if not loop.last }}
  {%- endfor %}
)

select
  segments.metric,
  calendar.period_start,
  segments.dimension,
  segments.segment,
  cast(case when begun.kind <> 'median' then coalesce(summed.numerator, 0) end as decimal(24, 6)) as numerator,
  cast(case when begun.kind <> 'count' then coalesce(summed.denominator, 0) end as decimal(24, 6)) as denominator,
  summed.median,
  calendar.period_start >= begun.first_date and {{ days_after("calendar.last_date", "begun.lag_days") }} <= {{ data_through() }} as is_complete
from segments
inner join begun on segments.metric = begun.metric
inner join {{ ref("int_metrics__requirements") }} as requirements on segments.metric = requirements.metric
inner join calendar on begun.period = calendar.period and segments.first_start <= calendar.period_start
left join summed
  on
    segments.metric = summed.metric
    and segments.dimension = summed.dimension
    and segments.segment = summed.segment
    and calendar.period_start = summed.period_start
where
  calendar.period_start <= {{ data_through() }}
  -- What its sources held no facts of yet is unknown, not 0.
  and (requirements.first_date is null or {{ days_after("calendar.last_date", "begun.lag_days") }} >= requirements.first_date)
