-- Along the steps of a funnel the number of persons never rises.
{{ config(meta={"dagster": {"ref": {"name": "mart_funnel__entry"}}}) }}
select *
from {{ ref("mart_funnel__entry") }}
where person_count > coalesce(previous_count, entrant_count) or coalesce(previous_count, entrant_count) > entrant_count
