-- A cohort has one size: in every period and under every rule, whether or not anybody came back.
{{ config(meta={"dagster": {"ref": {"name": "mart_retention__cohort"}}}) }}
select cohort_event, cohort_grain, cohort_start, dimension, segment, min(cohort_count) as smallest_count, max(cohort_count) as largest_count
from {{ ref("mart_retention__cohort") }}
group by cohort_event, cohort_grain, cohort_start, dimension, segment
having min(cohort_count) <> max(cohort_count)
