-- Only states that hold at the end of a day are kept: what begins and ends on one day shows nowhere.
with changes as (
  select
    subscriptions.*,
    subscriptions.status in ('active', 'past_due') and subscriptions.mrr > 0 as is_paying
  from {{ ref("stg_subscriptions") }} as subscriptions
  cross join {{ source("control", "run") }} as run
  where subscriptions.changed_date <= run.data_through
),

neighbours as (
  select
    *,
    lead(changed_date) over (partition by subscription_id order by changed_at) as next_changed_date
  from changes
),

states as (
  select
    neighbours.*,
    neighbours.changed_date as from_date,
    coalesce({{ days_after("neighbours.next_changed_date", -1) }}, run.data_through) as through_date
  from neighbours
  cross join {{ source("control", "run") }} as run
  where
    neighbours.is_paying
    and (neighbours.next_changed_date is null or neighbours.changed_date < neighbours.next_changed_date)
)

select
  subscription_id,
  account_id,
  plan,
  mrr,
  currency,
  from_date,
  through_date,
  renews_at
from states
