with known as (
  select
    *,
    min(state_number) over (
      partition by user_id order by arrived_date range between unbounded preceding and current row
    ) as latest_state_number
  from {{ ref("stg_user_states") }}
)

select
  user_id,
  account_id,
  arrived_date as known_from,
  lead(arrived_date) over (partition by user_id order by arrived_date) as known_until
from known
where state_number = latest_state_number
