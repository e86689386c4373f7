-- Every person's active day and every session up to the last complete day is counted, once in each dimension, and every person is new on
-- one day: the segments add up to all.
{{ config(meta={"dagster": {"ref": {"name": "mart_engagement__daily"}}}) }}
with mart as (
  select dimension, sum(active_count) as active_count, sum(new_count) as new_count, sum(session_count) as session_count
  from {{ ref("mart_engagement__daily") }}
  group by dimension
),

activity as (
  select count(*) as active_count, count(distinct person_id) as new_count
  from {{ ref("fct_person_days") }}
),

sessions as (
  select count(*) as session_count
  from {{ ref("fct_sessions") }}
)

select mart.*, activity.active_count as person_day_count, activity.new_count as person_count, sessions.session_count as fact_count
from mart
cross join activity
cross join sessions
where
  mart.active_count <> activity.active_count
  or mart.new_count <> activity.new_count
  or mart.session_count <> sessions.session_count
