{%- set grains = ["day", "week", "month"] %}
{%- set dimensions = ["channel", "device", "country"] %}

-- Persons are counted by cohort and all dimensions at once, and the counts added up by each: there are fewer combinations than persons.
with cohorts as (
  {%- for grain in grains %}
  select
    cohort_event, '{{ grain }}' as cohort_grain, {{ period_start(grain, "cohort_date") }} as cohort_start, channel, device, country,
    count(*) as person_count
  from {{ ref("int_retention__cohorts") }}
  group by cohort_event, {{ period_start(grain, "cohort_date") }}, channel, device, country
  {{ "union all" if not loop.last }}
  {%- endfor %}
),

sizes as (
  select cohort_event, cohort_grain, cohort_start, dimension, segment, cast(sum(person_count) as bigint) as cohort_count
  from (
    {{ by_segment("cohorts", ["cohort_event", "cohort_grain", "cohort_start", "person_count"], dimensions) | indent(4) }}
  ) as segmented
  group by cohort_event, cohort_grain, cohort_start, dimension, segment
),

-- Cells that have begun: the period's first day is not after the data.
cells as (
  select
    sizes.*,
    periods.rule,
    periods.period_index,
    periods.last_index,
    {{ last_day_of_any(grains, "sizes.cohort_grain", "sizes.cohort_start", "periods.last_index") }} <= {{ data_through() }} as is_mature
  from sizes
  inner join {{ ref("retention_periods") }} as periods on sizes.cohort_grain = periods.cohort_grain
  where {{ last_day_of_any(grains, "sizes.cohort_grain", "sizes.cohort_start", "periods.period_index - 1") }} < {{ data_through() }}
),

returns as (
  select * from {{ ref("int_retention__returns") }}
),

-- Under `exact` and `bracket` a person counts once in each published range that it was active in; a range of one period holds one
-- return of a person anyway.
ranges as (
  select * from {{ ref("retention_periods") }}
  where rule in ('exact', 'bracket')
),

exact_returns as (
  select
    returns.cohort_event, returns.cohort_grain, returns.cohort_start, ranges.rule, ranges.period_index,
    returns.channel, returns.device, returns.country, count(*) as person_count
  from returns
  inner join ranges
    on returns.cohort_grain = ranges.cohort_grain and returns.period_index = ranges.period_index
  where ranges.last_index = ranges.period_index
  group by
    returns.cohort_event, returns.cohort_grain, returns.cohort_start, ranges.rule, ranges.period_index,
    returns.channel, returns.device, returns.country
),

bracket_returns as (
  select
    returns.cohort_event, returns.cohort_grain, returns.cohort_start, ranges.rule, ranges.period_index,
    returns.channel, returns.device, returns.country, count(distinct returns.person_id) as person_count
  from returns
  inner join ranges
    on
      returns.cohort_grain = ranges.cohort_grain
      and ranges.last_index > ranges.period_index
      and returns.period_index between ranges.period_index and ranges.last_index
  group by
    returns.cohort_event, returns.cohort_grain, returns.cohort_start, ranges.rule, ranges.period_index,
    returns.channel, returns.device, returns.country
),

-- Under `on_or_after` a person counts in every period up to the last one in which it was active.
last_returns as (
  select
    cohort_event, cohort_grain, cohort_start, channel, device, country, last_period_index, count(*) as person_count
  from (
    select cohort_event, cohort_grain, cohort_start, person_id, channel, device, country, max(period_index) as last_period_index
    from returns
    group by cohort_event, cohort_grain, cohort_start, person_id, channel, device, country
  ) as persons
  group by cohort_event, cohort_grain, cohort_start, channel, device, country, last_period_index
),

later_returns as (
  select
    last_returns.cohort_event, last_returns.cohort_grain, last_returns.cohort_start, periods.rule, periods.period_index,
    last_returns.channel, last_returns.device, last_returns.country, sum(last_returns.person_count) as person_count
  from last_returns
  inner join {{ ref("retention_periods") }} as periods
    on
      last_returns.cohort_grain = periods.cohort_grain
      and periods.rule = 'on_or_after'
      and periods.period_index <= last_returns.last_period_index
  group by
    last_returns.cohort_event, last_returns.cohort_grain, last_returns.cohort_start, periods.rule, periods.period_index,
    last_returns.channel, last_returns.device, last_returns.country
),

returned as (
  select * from exact_returns
  union all
  select * from bracket_returns
  union all
  select * from later_returns
),

retained as (
  select
    cohort_event, cohort_grain, cohort_start, rule, period_index, dimension, segment, cast(sum(person_count) as bigint) as retained_count
  from (
    {{ by_segment("returned", ["cohort_event", "cohort_grain", "cohort_start", "rule", "period_index", "person_count"], dimensions) | indent(4) }}
  ) as segmented
  group by cohort_event, cohort_grain, cohort_start, rule, period_index, dimension, segment
)

select
  cells.cohort_event,
  cells.rule,
  cells.cohort_grain,
  cells.cohort_start,
  cells.dimension,
  cells.segment,
  cells.period_index,
  cells.cohort_count,
  case when cells.is_mature then coalesce(retained.retained_count, 0) end as retained_count,
  case when cells.is_mature then coalesce(retained.retained_count, 0) / cells.cohort_count end as retention_rate,
  cells.is_mature
from cells
left join retained
  on
    cells.cohort_event = retained.cohort_event
    and cells.cohort_grain = retained.cohort_grain
    and cells.cohort_start = retained.cohort_start
    and cells.rule = retained.rule
    and cells.period_index = retained.period_index
    and cells.dimension = retained.dimension
    and cells.segment = retained.segment
