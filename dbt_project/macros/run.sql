{#- The last complete day as a scalar: every required source has arrived up to it. -#}
{% macro data_through() -%} (select run.data_through from {{ source("control", "run") }} as run) {%- endmacro %}

{#-
  Whether a period is over and so many days after it as well: the n-th (0 = its own) after the one that starts on a day. `lag_days` is an
  expression; where it is NULL, as for a funnel without a window, nothing is ever over.
-#}
{% macro period_is_over(grain, start, n=0, lag_days=0) -%}
  {{ days_after(period_last_day(grain, start, n), lag_days) }} <= {{ data_through() }}
{%- endmacro %}

{#- Last day of the n-th period after the one that starts on a day, where a column holds the grain: one of `grains`. -#}
{% macro last_day_of_any(grains, grain_column, start, n=0) -%}
  case {{ grain_column }}
      {%- for grain in grains %}
      when '{{ grain }}' then {{ period_last_day(grain, start, n) }}
      {%- endfor %}
    end
{%- endmacro %}

{#-
  Every row of a relation once for each period of a grain, from the one that starts on the row's own first day to the one that holds the
  last complete day: `period_start`. A period in which nothing happened is a row as any other.
-#}
{% macro spine(relation, first_start, grain) -%}
  select
    {{ relation }}.*,
    periods.period_start
  from {{ relation }}
  inner join (
    select distinct {{ period_start(grain, "days.calendar_date") }} as period_start
    from ({{ calendar_days("(select min(" ~ first_start ~ ") from " ~ relation ~ ")", data_through()) }}) as days
  ) as periods
    on {{ relation }}.{{ first_start }} <= periods.period_start
{%- endmacro %}
