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
    lag(case when is_paying then currency end) over (partition by subscription_id order by changed_at) as paid_currency_before,
    lead(changed_date) over (partition by subscription_id order by changed_at) as next_changed_date
  from changes
),

stretches as (
  select
    *,
    sum(case when currency is distinct from paid_currency_before then 1 else 0 end) over (
      partition by subscription_id order by changed_at rows unbounded preceding
    ) as stretch_number
  from neighbours
  where is_paying
),

-- As long as a subscription is paid in one currency it keeps the rate of the day on which that began: renewals, upgrades and downgrades
-- then move the revenue as far as the customer moved it, and no exchange rate looks like one of them.
rated as (
  select *, min(changed_date) over (partition by subscription_id, stretch_number) as rated_date
  from stretches
)

select
  rated.subscription_id,
  rated.account_id,
  rated.plan,
  {{ in_reporting_currency("rated.mrr", "rated.currency") }} as mrr,
  rated.changed_date as from_date,
  coalesce({{ days_after("rated.next_changed_date", -1) }}, run.data_through) as through_date,
  {{ local_date("rated.renews_at") }} as renews_date
from rated
cross join {{ source("control", "run") }} as run
{{ fx_joins("rated.currency", "rated.rated_date") }}
where rated.next_changed_date is null or rated.changed_date < rated.next_changed_date
