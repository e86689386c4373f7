{%- set grains = ["day", "week", "month", "all"] %}
{%- set dimensions = ["channel", "device", "country", "city_tier", "plan", "role", "industry"] %}
{%- set period = ["funnel", "entry_grain", "entry_start"] %}

with entries as (
  select
    *,
    {% for grain in grains[:3] %}
    {{ period_start(grain, "entry_date") }} as {{ grain }}_start,
    {% endfor %}
    min(entry_date) over (partition by funnel) as all_start
  from {{ ref("int_funnel__entries") }}
),

ranked as (
  select
    *,
    1 as chain_of_day,
    {% for grain in grains[1:] %}
    {{ chain_number([grain ~ "_start"]) }} as chain_of_{{ grain }}{{ "," if not loop.last }}
    {% endfor %}
  from entries
),

deepest as (
  {%- for grain in grains %}
  select '{{ grain }}' as entry_grain, {{ grain }}_start as entry_start, *
  from ranked
  where chain_of_{{ grain }} = 1
  {{ "union all" if not loop.last }}
  {%- endfor %}
),

reached as (
  select
    deepest.funnel,
    deepest.entry_grain,
    deepest.entry_start,
    {% for dimension in dimensions %}
    entrants.{{ dimension }},
    {% endfor %}
    steps.step_number,
    case steps.step_number
      {% for step in range(2, 13) %}
      when {{ step }} then deepest.reached_{{ step }}_at
      {% endfor %}
    end as reached_at,
    case steps.step_number
      {% for step in range(2, 13) %}
      when {{ step }} then deepest.reached_{{ step - 1 }}_at
      {% endfor %}
    end as previous_at
  from deepest
  inner join {{ ref("int_funnel__entrants") }} as entrants
    on
      deepest.funnel = entrants.funnel
      and deepest.person_id = entrants.person_id
      and deepest.entry_date = entrants.entry_date
  inner join {{ ref("int_funnel__steps") }} as steps
    on deepest.funnel = steps.funnel and deepest.depth >= steps.step_number
),

counted as (
  select
    funnel,
    entry_grain,
    entry_start,
    dimension,
    segment,
    step_number,
    count(*) as person_count,
    {{ average_seconds("previous_at", "reached_at") }} as average_seconds,
    {{ quantile(seconds_between("previous_at", "reached_at"), 0.5) }} as median_seconds,
    {{ quantile(seconds_between("previous_at", "reached_at"), 0.9) }} as p90_seconds
  from (
    {{ by_segment("reached", period + ["step_number", "reached_at", "previous_at"], dimensions) | indent(4) }}
  ) as segmented
  group by funnel, entry_grain, entry_start, dimension, segment, step_number
),

-- A step that nobody reached is a row as any other; of one whose event nobody ever sent it is unknown who reached it.
cells as (
  select
    entered.funnel,
    entered.entry_grain,
    entered.entry_start,
    entered.dimension,
    entered.segment,
    steps.step_number,
    steps.step,
    entered.person_count as entrant_count,
    case when steps.is_known then coalesce(counted.person_count, 0) end as person_count,
    counted.average_seconds,
    counted.median_seconds,
    counted.p90_seconds,
    {{ window_days("steps") }} as window_days
  from counted as entered
  inner join {{ ref("int_funnel__known_steps") }} as steps on entered.funnel = steps.funnel
  left join counted
    on
      {% for column in period + ["dimension", "segment"] -%}
      entered.{{ column }} = counted.{{ column }} and {% endfor -%}
      steps.step_number = counted.step_number
  where entered.step_number = 1
),

compared as (
  select
    *,
    lag(person_count) over (partition by {{ period | join(", ") }}, dimension, segment order by step_number) as previous_count
  from cells
)

select
  compared.funnel,
  compared.entry_grain,
  compared.entry_start,
  compared.dimension,
  compared.segment,
  compared.step_number,
  compared.step,
  compared.entrant_count,
  compared.person_count,
  compared.previous_count,
  compared.person_count / nullif(compared.previous_count, 0) as conversion_rate,
  compared.person_count / nullif(compared.entrant_count, 0) as overall_rate,
  1 - compared.person_count / nullif(compared.previous_count, 0) as drop_off_rate,
  compared.average_seconds as average_seconds_from_previous,
  compared.median_seconds as median_seconds_from_previous,
  compared.p90_seconds as p90_seconds_from_previous,
  -- Everybody who could still enter or convert has had the time: the period's last day, plus the window, is over.
  coalesce(
    coalesce({{ last_day_of_any(grains[:3], "compared.entry_grain", "compared.entry_start") }}, {{ data_through() }})
    + compared.window_days <= {{ data_through() }},
    false
  ) as is_mature
from compared
