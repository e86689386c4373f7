with accounts as (
  select * from {{ ref("int_health__accounts") }}
),

as_of_dates as (
  select * from {{ ref("int_accounts__as_of_dates") }}
),

states as (
  select * from {{ ref("stg_subscription_states") }}
),

rates as (
  select * from {{ ref("int_churn__rates") }}
),

paying as (
  select * from {{ ref("int_churn__paying_accounts") }}
),

activity as (
  select * from {{ ref("int_churn__activity") }}
),

-- What was known on the as-of date of the day 90 days before it.
changes as (
  select
    as_of_dates.as_of_date,
    states.account_id,
    states.status,
    states.mrr,
    states.currency,
    states.seats,
    row_number() over (
      partition by as_of_dates.as_of_date, states.subscription_id
      order by states.changed_at desc
    ) as change_number
  from as_of_dates
  inner join states
    on
      states.changed_date <= {{ days_after("as_of_dates.as_of_date", -90) }}
      and {{ is_known_on("states", "as_of_dates.as_of_date") }}
),

before as (
  select
    changes.as_of_date,
    changes.account_id,
    cast(sum(cast(changes.mrr as decimal(20, 4)) * rates.usd_rate) as decimal(18, 2)) as mrr_usd,
    sum(changes.seats) as seats
  from changes
  inner join rates on changes.as_of_date = rates.as_of_date and changes.currency = rates.currency
  where changes.change_number = 1 and changes.status in ('active', 'past_due') and changes.mrr > 0
  group by changes.as_of_date, changes.account_id
),

-- A quarter more or less is all there is to be had or lost.
growth as (
  select
    accounts.as_of_date,
    accounts.account_id,
    {{ growth_share("cast(paying.mrr_usd as double)", "cast(before.mrr_usd as double)") }} as mrr_share,
    {{ growth_share("paying.seats", "before.seats") }} as seat_share,
    {{ growth_share("activity.active_users_28d", "activity.active_users_first_28d") }} as user_share,
    coalesce(paying.mrr_usd > before.mrr_usd, false) as has_expanded
  from accounts
  left join paying on accounts.as_of_date = paying.as_of_date and accounts.account_id = paying.account_id
  left join before on accounts.as_of_date = before.as_of_date and accounts.account_id = before.account_id
  left join activity on accounts.as_of_date = activity.as_of_date and accounts.account_id = activity.account_id
)

select
  as_of_date,
  account_id,
  has_expanded,
  100 * {{ mean_of_known(["mrr_share", "seat_share", "user_share"]) }} as account_growth_score
from growth
