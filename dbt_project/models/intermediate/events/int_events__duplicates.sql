{{ config(materialized="incremental", incremental_strategy="replace_visitor_days", on_schema_change="fail") }}

{%- set key = landing_keys()["events"]["key"] %}

with events as (
  select * from {{ ref("stg_events") }}
),

-- Ranking only the ids that occur twice spares the sort of all the others.
repeated as (
  select {{ key | join(", ") }}
  from events
  group by {{ key | join(", ") }}
  having count(*) > 1
),

copies as (
  select events.*
  from events
  inner join repeated
    on
      {%- for column in key %}
      events.{{ column }} = repeated.{{ column }}{{ " and" if not loop.last }}
      {%- endfor %}
),

ranked as (
  select
    event_id,
    event_date,
    {{ visitor_of() }} as visitor_id,
    arrived_date,
    landed_file,
    landed_row,
    {{ content_hash(columns_beside_content()) }} as content,
    row_number() over (
      partition by {{ key | join(", ") }}
      order by received_at nulls last, arrived_date, landed_file, landed_row
    ) as copy_number
  from copies
),

compared as (
  select
    *,
    min(copy_number) over (partition by {{ key | join(", ") }}, content) > 1 as is_conflict
  from ranked
)

select
  event_id,
  event_date,
  visitor_id,
  arrived_date,
  landed_file,
  landed_row,
  is_conflict
from compared
where copy_number > 1
