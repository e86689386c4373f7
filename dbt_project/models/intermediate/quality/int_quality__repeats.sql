select source, arrived_date, repeated_count
from {{ ref("stg_repeats") }}

union all

select 'events' as source, arrived_date, count(*) as repeated_count
from {{ ref("int_events__duplicates") }}
group by arrived_date
