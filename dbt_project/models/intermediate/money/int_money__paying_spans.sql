-- Only states that hold at the end of a day are kept: what begins and ends on one day shows nowhere.
with changes as (
  select
    *,
    status in ('active', 'past_due') and mrr > 0 as is_paying
  from {{ ref("stg_subscriptions") }}
  where changed_date <= {{ data_through() }}
),

neighbours as (
  select
    *,
    lead(changed_date) over (partition by subscription_id order by changed_at) as next_changed_date
  from changes
),

states as (
  select
    *,
    changed_date as from_date,
    coalesce({{ days_after("next_changed_date", -1) }}, {{ data_through() }}) as through_date
  from neighbours
  where is_paying and (next_changed_date is null or changed_date < next_changed_date)
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
