with entries as (
  select
    entries.funnel,
    entries.person_id,
    entries.entry_date,
    entries.reached_1_at as entered_at,
    persons.account_id,
    persons.role,
    accounts.industry
  from {{ ref("int_funnel__entries") }} as entries
  inner join {{ ref("dim_persons") }} as persons on entries.person_id = persons.person_id
  left join {{ ref("dim_accounts") }} as accounts on persons.account_id = accounts.account_id
),

states as (
  select
    subscriptions.subscription_id,
    subscriptions.account_id,
    subscriptions.plan,
    subscriptions.status,
    subscriptions.changed_at,
    lead(subscriptions.changed_at) over (
      partition by subscriptions.subscription_id order by subscriptions.changed_at
    ) as next_changed_at,
    -coalesce({{ in_reporting_currency("subscriptions.mrr", "subscriptions.currency") }}, 0) as descending_mrr
  from {{ ref("stg_subscriptions") }} as subscriptions
  {{ fx_joins("subscriptions.currency", "subscriptions.changed_date") }}
),

-- Of subscriptions that are equally large the smallest id names the plan.
plans as (
  select
    entries.funnel,
    entries.person_id,
    entries.entry_date,
    {{ smallest_row(["descending_mrr", "subscription_id", "plan"]) }} as largest
  from entries
  inner join states
    on
      entries.account_id = states.account_id
      and entries.entered_at >= states.changed_at
      and (states.next_changed_at is null or entries.entered_at < states.next_changed_at)
  where states.status in ('active', 'past_due', 'trialing')
  group by entries.funnel, entries.person_id, entries.entry_date
),

-- A first step that is no event (a payment) may lie in no session: then it is the session before it.
touched as (
  select entries.*, sessions.channel, sessions.device_type, sessions.country, sessions.city_tier
  from entries
  {{ asof_last("entries", ref("fct_sessions"), "sessions", ["person_id"], "entered_at", "started_at") }}
)

select
  touched.funnel,
  touched.person_id,
  touched.entry_date,
  touched.channel,
  touched.device_type as device,
  touched.country,
  touched.city_tier,
  {{ field("plans.largest", "plan") }} as plan,
  touched.role,
  touched.industry
from touched
left join plans
  on touched.funnel = plans.funnel and touched.person_id = plans.person_id and touched.entry_date = plans.entry_date
