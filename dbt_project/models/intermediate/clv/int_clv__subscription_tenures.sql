with accounts as (
  select * from {{ ref("dim_accounts") }}
),

complete as (
  select {{ period_start("month", days_after(period_start("month", days_after(data_through(), 1)), -1)) }} as month
),

-- Who came back stays in another way: the first spell alone tells how long customers stay.
spells as (
  select
    spells.plan,
    spells.first_month,
    coalesce(accounts.channel, '(none)') as channel,
    spells.last_month < complete.month as is_lost,
    {{ periods_between("month", "spells.first_month", "least(spells.last_month, complete.month)") }} as renewal_count
  from {{ ref("int_clv__subscription_spells") }} as spells
  inner join accounts on spells.account_id = accounts.account_id
  cross join complete
  where spells.spell_number = 1 and spells.first_month <= complete.month
),

-- What an account paid before the company wrote down who left says only that it stayed: of those who did not there is no trace.
-- Everybody is watched from the month after the first loss that is known.
first_loss as (
  select min({{ months_after("first_month", "renewal_count + 1") }}) as month
  from spells
  where is_lost
),

watched as (
  select
    spells.*,
    spells.renewal_count + case when spells.is_lost then 1 else 0 end as period,
    greatest(coalesce({{ periods_between("month", "spells.first_month", "first_loss.month") }}, 0), 0) as entered_period
  from spells
  cross join first_loss
),

counted as (
  select
    plan,
    channel,
    period,
    case when is_lost then 1 else 0 end as lost,
    case when is_lost then 0 else 1 end as alive,
    0 as entered
  from watched
  where not is_lost or period > entered_period

  union all

  select plan, channel, least(entered_period, period) as period, 0 as lost, 0 as alive, 1 as entered
  from watched
  where entered_period > 0 and (not is_lost or period > entered_period)
)

select
  plan,
  channel,
  period,
  sum(lost) as lost,
  sum(alive) as alive,
  sum(entered) as entered
from counted
group by plan, channel, period
