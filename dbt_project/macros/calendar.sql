{#-
  All days that a figure may be asked of, as a relation with one column, calendar_date: from `partition_start`, or the oldest fact that
  ingest counted before it, to a year after the last complete day. Ingest counted in the time zone that held then: two days on either
  side cover any other.
-#}
{% macro calendar() -%}
  {%- set first_day = "least(date '" ~ var("partition_start") ~ "', happened_date - 2)" -%}
  {{ calendar_days(
    "(select " ~ first_day ~ " from " ~ source("control", "first_happened") ~ ")",
    days_after(data_through(), 366)
  ) }}
{%- endmacro %}
