-- Who is active in a period or later was also active in an earlier period or later, whether or not the periods between are published.
{{ config(meta={"dagster": {"ref": {"name": "mart_retention__cohort"}}}) }}
with periods as (
  select
    *,
    lag(retained_count) over (
      partition by cohort_event, cohort_grain, cohort_start, dimension, segment order by period_index
    ) as retained_before_count
  from {{ ref("mart_retention__cohort") }}
  where rule = 'on_or_after' and is_mature
)

select *
from periods
where retained_count > retained_before_count
