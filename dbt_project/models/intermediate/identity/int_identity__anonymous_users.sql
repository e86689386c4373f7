with pairs as (
  select
    anonymous_id,
    user_id,
    min(first_event_at) as first_seen_at
  from {{ ref("int_activity__visitor_day") }}
  where anonymous_id is not null and user_id is not null and not is_bot
  group by anonymous_id, user_id
),

ranked as (
  select
    anonymous_id,
    user_id,
    row_number() over (partition by anonymous_id order by first_seen_at, user_id) as pair_number
  from pairs
)

select anonymous_id, user_id
from ranked
where pair_number = 1
