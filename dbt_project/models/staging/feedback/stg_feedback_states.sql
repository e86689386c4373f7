with known as (
  {{ known_states(
    "feedback",
    ["feedback_id", "user_id", "account_id", "created_at", "answered_at"]
  ) }}
)

select
  feedback_id,
  user_id,
  account_id,
  created_at,
  answered_at,
  {{ local_date('created_at') }} as created_date,
  arrived_date,
  known_until
from known
