with deduplicated as (
  {{ one_per_key(
    "wecom",
    ["interaction_id", "contact_id", "user_id", "staff_id", "kind", "occurred_at", "group_id"]
  ) }}
)

select
  interaction_id,
  contact_id,
  user_id,
  staff_id,
  kind,
  occurred_at,
  group_id,
  {{ local_date('occurred_at') }} as occurred_date,
  arrived_date,
  landed_date
from deduplicated
