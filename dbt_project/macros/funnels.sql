{#- Whole days after the day of entry until a funnel's window is over for everybody who entered on it; NULL without a window. -#}
{% macro window_days(steps) -%} cast(ceil({{ steps }}.window_seconds / 86400) as integer) {%- endmacro %}

{#-
  Which of a person's chains counts in a period: the deepest, of several the one that ends first, then the one that starts last. A
  number for each row, 1 for that one; `period` is a list of further columns that tell periods apart, `ties` says what decides between
  chains that start at one instant.
-#}
{% macro chain_number(period=[], ties=[]) -%}
  row_number() over (
      partition by {{ (period + ["funnel", "person_id"]) | join(", ") }}
      order by {{ (["depth desc", "ended_at asc", "reached_1_at desc"] + ties) | join(", ") }}
    )
{%- endmacro %}
