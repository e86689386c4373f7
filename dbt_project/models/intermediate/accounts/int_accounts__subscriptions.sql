{{ config(materialized="incremental", incremental_strategy="replace_as_of", on_schema_change="fail") }}

-- Only changes that had happened and had arrived by the day.
with dates as (
  {{ replaced_as_of_dates() }}
),

changes as (
  select
    dates.as_of_date,
    subscriptions.*,
    row_number() over (
      partition by dates.as_of_date, subscriptions.subscription_id
      order by subscriptions.changed_at desc
    ) as change_number,
    min(case when subscriptions.status in ('active', 'past_due') and subscriptions.mrr > 0 then subscriptions.changed_date end) over (
      partition by dates.as_of_date, subscriptions.account_id
    ) as first_paying_date
  from dates
  inner join {{ ref("stg_subscription_states") }} as subscriptions
    on subscriptions.changed_date <= dates.as_of_date and {{ is_known_on("subscriptions", "dates.as_of_date") }}
)

select
  as_of_date,
  subscription_id,
  account_id,
  changed_at,
  billing_interval,
  mrr,
  currency,
  status,
  seats,
  renews_at,
  first_paying_date,
  status in ('active', 'past_due') and mrr > 0 as is_paying,
  status = 'trialing' as is_trial
from changes
where change_number = 1
