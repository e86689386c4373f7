{%- set grains = ["day", "week", "month", "all"] %}

with entries as (
  select * from {{ ref("int_funnel__entries") }}
),

periods as (
  {%- for grain in grains %}
  select
    '{{ grain }}' as entry_grain,
    {% if grain == "all" %}min(entry_date) over (partition by funnel){% else %}{{ period_start(grain, "entry_date") }}{% endif %} as entry_start,
    *
  from entries
  {{ "union all" if not loop.last }}
  {%- endfor %}
),

ranked as (
  select
    *,
    {{ chain_number(["entry_grain", "entry_start"]) }} as chain_number
  from periods
),

deepest as (
  select ranked.*, persons.channel, persons.device, persons.country
  from ranked
  inner join {{ ref("dim_persons") }} as persons on ranked.person_id = persons.person_id
  where ranked.chain_number = 1
),

steps as (
  select
    deepest.funnel,
    deepest.entry_grain,
    deepest.entry_start,
    deepest.channel,
    deepest.device,
    deepest.country,
    steps.step_number,
    case steps.step_number
      {% for step in range(1, 13) %}
      when {{ step }} then deepest.reached_{{ step }}_at
      {% endfor %}
    end as reached_at,
    case steps.step_number
      {% for step in range(2, 13) %}
      when {{ step }} then deepest.reached_{{ step - 1 }}_at
      {% endfor %}
    end as previous_at
  from deepest
  inner join {{ ref("int_funnel__steps") }} as steps on deepest.funnel = steps.funnel
),

segmented as (
  {{ by_segment("steps", ["funnel", "entry_grain", "entry_start", "step_number", "reached_at", "previous_at"],
    ["channel", "device", "country"]) | indent(2) }}
),

counted as (
  select
    funnel,
    entry_grain,
    entry_start,
    dimension,
    segment,
    step_number,
    count(*) as entrant_count,
    count(reached_at) as person_count,
    case when step_number > 1 then count(previous_at) end as previous_count,
    {{ average_seconds("previous_at", "reached_at") }} as average_seconds_from_previous,
    {{ quantile(seconds_between("previous_at", "reached_at"), 0.5) }} as median_seconds_from_previous,
    {{ quantile(seconds_between("previous_at", "reached_at"), 0.9) }} as p90_seconds_from_previous
  from segmented
  group by funnel, entry_grain, entry_start, dimension, segment, step_number
)

select
  counted.funnel,
  counted.entry_grain,
  counted.entry_start,
  counted.dimension,
  counted.segment,
  counted.step_number,
  steps.step,
  counted.entrant_count,
  counted.person_count,
  counted.previous_count,
  counted.person_count / nullif(counted.previous_count, 0) as conversion_rate,
  counted.person_count / nullif(counted.entrant_count, 0) as overall_rate,
  1 - counted.person_count / nullif(counted.previous_count, 0) as drop_off_rate,
  counted.average_seconds_from_previous,
  counted.median_seconds_from_previous,
  counted.p90_seconds_from_previous,
  -- Everybody who could still enter or convert has had the time: the period's last day, plus the window, is over.
  coalesce(
    case counted.entry_grain
      {%- for grain in ["day", "week", "month"] %}
      when '{{ grain }}' then {{ period_last_day(grain, "counted.entry_start", 0) }}
      {%- endfor %}
      else run.data_through
    end + {{ window_days("steps") }} <= run.data_through,
    false
  ) as is_mature
from counted
inner join {{ ref("int_funnel__steps") }} as steps
  on counted.funnel = steps.funnel and counted.step_number = steps.step_number
cross join {{ source("control", "run") }} as run
