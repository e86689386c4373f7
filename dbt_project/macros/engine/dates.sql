{#- Calendar arithmetic. Every form that an engine spells its own way lives in this folder, behind a dispatched macro. -#}

{#- Calendar day of a UTC timestamp in the reporting time zone. -#}
{% macro local_date(timestamp) %}{{ return(adapter.dispatch("local_date")(timestamp)) }}{% endmacro %}
{% macro duckdb__local_date(timestamp) -%}
  cast({{ timestamp }} at time zone 'UTC' at time zone '{{ var("reporting_timezone") }}' as date)
{%- endmacro %}

{#- First day of the period (day, week, month, quarter or year) that a day lies in; weeks start as configured. -#}
{% macro period_start(grain, day) %}{{ return(adapter.dispatch("period_start")(grain, day)) }}{% endmacro %}
{% macro duckdb__period_start(grain, day) -%}
  {%- if grain == "day" -%} {{ day }}
  {%- elif grain == "week" and var("week_start") == "sunday" -%} (cast(date_trunc('week', {{ day }} + 1) as date) - 1)
  {%- else -%} cast(date_trunc('{{ grain }}', {{ day }}) as date)
  {%- endif -%}
{%- endmacro %}

{#- Number of periods between the starts of two periods of a grain. -#}
{% macro periods_between(grain, from_start, to_start) %}
  {{- return(adapter.dispatch("periods_between")(grain, from_start, to_start)) -}}
{% endmacro %}
{% macro duckdb__periods_between(grain, from_start, to_start) -%}
  {%- if grain == "day" -%} ({{ to_start }} - {{ from_start }})
  {%- elif grain == "week" -%} (({{ to_start }} - {{ from_start }}) // 7)
  {%- else -%} date_diff('{{ grain }}', {{ from_start }}, {{ to_start }})
  {%- endif -%}
{%- endmacro %}

{#- Whole months from one day to a later one: 1 from 31 January to the last day of February. -#}
{% macro whole_months_between(from_day, to_day) %}{{ return(adapter.dispatch("whole_months_between")(from_day, to_day)) }}{% endmacro %}
{% macro duckdb__whole_months_between(from_day, to_day) -%} date_sub('month', {{ from_day }}, {{ to_day }}) {%- endmacro %}

{#- Last day of the n-th period (0 = its own) after the period that starts on a day. -#}
{% macro period_last_day(grain, start, n) %}{{ return(adapter.dispatch("period_last_day")(grain, start, n)) }}{% endmacro %}
{% macro duckdb__period_last_day(grain, start, n) -%}
  {%- if grain == "day" -%} ({{ start }} + cast({{ n }} as integer))
  {%- elif grain == "week" -%} ({{ start }} + cast(7 * ({{ n }}) + 6 as integer))
  {%- else -%} (cast({{ start }} + to_{{ grain }}s(cast({{ n }} + 1 as integer)) as date) - 1)
  {%- endif -%}
{%- endmacro %}

{#- Day a number of days later. -#}
{% macro days_after(day, days) %}{{ return(adapter.dispatch("days_after")(day, days)) }}{% endmacro %}
{% macro duckdb__days_after(day, days) -%} ({{ day }} + cast({{ days }} as integer)) {%- endmacro %}

{#- First day of the month a number of months after the one that starts on a day. -#}
{% macro months_after(month, months) %}{{ return(adapter.dispatch("months_after")(month, months)) }}{% endmacro %}
{% macro duckdb__months_after(month, months) -%} cast({{ month }} + to_months(cast({{ months }} as integer)) as date) {%- endmacro %}

{#- Seconds from one timestamp to a later one. -#}
{% macro seconds_between(from_at, to_at) %}{{ return(adapter.dispatch("seconds_between")(from_at, to_at)) }}{% endmacro %}
{% macro duckdb__seconds_between(from_at, to_at) -%} (epoch_us({{ to_at }}) - epoch_us({{ from_at }})) / 1e6 {%- endmacro %}

{#- Whole microseconds from one timestamp to a later one: their sum does not show the order of the rows. -#}
{% macro microseconds_between(from_at, to_at) %}{{ return(adapter.dispatch("microseconds_between")(from_at, to_at)) }}{% endmacro %}
{% macro duckdb__microseconds_between(from_at, to_at) -%} (epoch_us({{ to_at }}) - epoch_us({{ from_at }})) {%- endmacro %}

{#- A timestamp a number of seconds later. -#}
{% macro seconds_after(at, seconds) %}{{ return(adapter.dispatch("seconds_after")(at, seconds)) }}{% endmacro %}
{% macro duckdb__seconds_after(at, seconds) -%} ({{ at }} + to_seconds({{ seconds }})) {%- endmacro %}

{#- All days of a closed range, as a relation with one column, calendar_date. -#}
{% macro calendar_days(first_day, last_day) %}{{ return(adapter.dispatch("calendar_days")(first_day, last_day)) }}{% endmacro %}
{% macro duckdb__calendar_days(first_day, last_day) -%}
  select cast(generated.day as date) as calendar_date
  from generate_series(cast({{ first_day }} as timestamp), cast({{ last_day }} as timestamp), interval 1 day) as generated (day)
{%- endmacro %}

{#- Number of the window of so many seconds, counted from the epoch, in which a timestamp lies. -#}
{% macro clock_window(at, seconds) %}{{ return(adapter.dispatch("clock_window")(at, seconds)) }}{% endmacro %}
{% macro duckdb__clock_window(at, seconds) -%} (epoch_us({{ at }}) // {{ seconds }}000000) {%- endmacro %}
