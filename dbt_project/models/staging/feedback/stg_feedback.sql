with deduplicated as (
  {{ one_per_key(
    "feedback",
    ["feedback_id", "user_id", "account_id", "created_at", "channel", "text", "answered_at"]
  ) }}
)

select
  feedback_id,
  user_id,
  account_id,
  created_at,
  channel,
  text,
  answered_at,
  {{ local_date('created_at') }} as created_date,
  arrived_date,
  landed_date
from deduplicated
