{{ config(materialized="incremental", incremental_strategy="replace_days", on_schema_change="fail") }}

with events as (
  select event_id, event_date, received_at, arrived_date, landed_file, landed_row
  from {{ ref("stg_events") }}
),

-- Ranking only the ids that occur twice spares the sort of all the others.
repeated as (
  select event_id
  from events
  group by event_id
  having count(*) > 1
),

ranked as (
  select
    events.event_id,
    events.event_date,
    events.arrived_date,
    events.landed_file,
    events.landed_row,
    row_number() over (
      partition by events.event_id
      order by events.received_at nulls last, events.arrived_date, events.landed_file, events.landed_row
    ) as copy_number
  from events
  inner join repeated on events.event_id = repeated.event_id
)

select
  event_id,
  event_date,
  arrived_date,
  landed_file,
  landed_row
from ranked
where copy_number > 1
