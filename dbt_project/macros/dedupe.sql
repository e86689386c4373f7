{#- Rows of a source with the time of the file that each landed in, `landed_ns`. -#}
{% macro landed_rows(source_name) -%}
  select landed.*, files.landed_ns
  from {{ source("lake", source_name) }} as landed
  left join {{ source("control", "landed_files") }} as files
    on
      files.source = '{{ source_name }}'
      and landed.arrived_date = files.arrived_date
      and landed.landed_file = files.landed_file
{%- endmacro %}

{#-
  The order in which the row that stays comes first. A state without `updated_at` counts as written when its arrival day began; the file's
  place breaks ties, so that every run gives the same answer.
-#}
{% macro landing_order(source_name) -%}
  {%- set rule = landing_keys()[source_name] -%}
  {%- if rule["dated"] -%} coalesce(updated_at, cast(arrived_date as timestamp)) desc, {% endif -%}
  {%- set direction = " desc" if rule["latest"] else "" -%}
  arrived_date{{ direction }}, coalesce(landed_ns, 0){{ direction }}, landed_file{{ direction }}, landed_row{{ direction }}
{%- endmacro %}

{#- Number of a row of `landed_rows` among those of its key, 1 for the one that stays. -#}
{% macro copy_number(source_name) -%}
  row_number() over (
      partition by {{ landing_keys()[source_name]["key"] | join(", ") }}
      order by {{ landing_order(source_name) }}
    )
{%- endmacro %}

{#-
  One row per key of a source. `arrived_date` becomes the first day on which any of them arrived: that is when the fact became known;
  `landed_date` is the day on which the row that stays arrived.
-#}
{% macro one_per_key(source_name, columns) -%}
  {%- set key = landing_keys()[source_name]["key"] -%}
  select
    {{ columns | join(",\n    ") }},
    first_arrived_date as arrived_date,
    ranked.arrived_date as landed_date
  from (
    select
      *,
      min(arrived_date) over (partition by {{ key | join(", ") }}) as first_arrived_date,
      {{ copy_number(source_name) }} as copy_number
    from ({{ landed_rows(source_name) }}) as landed
  ) as ranked
  where copy_number = 1
{%- endmacro %}

{#-
  What was known of each key day by day: the state that stands from `arrived_date`, the day on which it arrived, until `known_until`, the day
  on which a later one did (NULL: until today). Nothing that arrived afterwards shows in what was known on a day.
-#}
{% macro known_states(source_name, columns) -%}
  {%- set key = landing_keys()[source_name]["key"] | join(", ") -%}
  select
    {{ columns | join(",\n    ") }},
    arrived_date,
    lead(arrived_date) over (partition by {{ key }} order by arrived_date) as known_until
  from (
    select
      *,
      min(state_number) over (
        partition by {{ key }} order by arrived_date range between unbounded preceding and current row
      ) as latest_state_number
    from (
      select *, {{ copy_number(source_name) }} as state_number
      from ({{ landed_rows(source_name) }}) as landed
    ) as numbered
  ) as known
  where state_number = latest_state_number
{%- endmacro %}

{#- Columns by which copies of one row may differ and yet say the same: when they were written and received, and where they landed. -#}
{% macro columns_beside_content() %}
  {{- return(["updated_at", "received_at", "event_date", "arrived_date", "landed_file", "landed_row", "landed_ns", "first_arrived_date",
    "state_number", "repeat_number", "is_counted"]) -}}
{% endmacro %}

{#- Whether a row of `known_states` is what was known on a day. -#}
{% macro is_known_on(states, day) -%}
  {{ states }}.arrived_date <= {{ day }} and {{ day }} < coalesce({{ states }}.known_until, {{ days_after(day, 1) }})
{%- endmacro %}

{#-
  Every landed row of advertising cost with `is_counted`: what one file says of a key at one time is one state, in as many rows as differ
  (the ads that the file has no id for). Rows of the latest state that share the key but differ add up, identical ones are repeats, and a
  later file replaces an earlier one whole.
-#}
{% macro ad_spend_rows() -%}
{%- set rule = landing_keys()["ad_spend"] %}
{%- set key = rule["key"] | join(", ") %}
with ranked as (
  select
    *,
    min(arrived_date) over (partition by {{ key }}) as first_arrived_date,
    dense_rank() over (
      partition by {{ key }}
      order by
        coalesce(updated_at, cast(arrived_date as timestamp)) desc,
        arrived_date desc,
        coalesce(landed_ns, 0) desc,
        landed_file desc
    ) as state_number,
    row_number() over (
      partition by
        {{ key }},
        coalesce(updated_at, cast(arrived_date as timestamp)),
        arrived_date,
        landed_file,
        {%- for column in rule["summed"] %}
        {{ column }},
        {%- endfor %}
        currency,
        cast(extra as varchar)
      order by landed_row
    ) as repeat_number
  from ({{ landed_rows("ad_spend") }}) as landed
)

select
  spend_date,
  utm_source,
  utm_medium,
  utm_campaign,
  utm_content,
  ad_id,
  {%- for column in rule["summed"] %}
  {{ column }},
  {%- endfor %}
  currency,
  extra,
  first_arrived_date,
  arrived_date,
  landed_file,
  landed_row,
  state_number = 1 and repeat_number = 1 as is_counted
from ranked
{%- endmacro %}
