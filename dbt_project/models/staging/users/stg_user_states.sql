select
  user_id,
  account_id,
  arrived_date,
  {{ copy_number("users") }} as state_number
from ({{ landed_rows("users") }}) as landed
