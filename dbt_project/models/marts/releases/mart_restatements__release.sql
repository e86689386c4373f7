-- Empty: its rows compare this release with the last one, and are written into the candidate once every other mart is copied there
-- (`orchestration/publishing/comparison/restatements.py`). A build never reads a release.
select
  cast(null as varchar) as release_id,
  cast(null as varchar) as previous_release_id,
  cast(null as date) as data_through,
  cast(null as varchar) as mart,
  cast(null as varchar) as series,
  cast(null as varchar) as period,
  cast(null as date) as period_start,
  cast(null as varchar) as measure,
  cast(null as double) as value_before,
  cast(null as double) as value_after,
  cast(null as double) as change,
  cast(null as double) as change_rate,
  cast(null as varchar) as cause,
  cast(null as varchar) as possible_causes,
  cast(null as bigint) as late_fact_count
where false
