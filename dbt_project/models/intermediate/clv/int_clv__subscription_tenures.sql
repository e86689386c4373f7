with complete as (
  select {{ period_start("month", days_after(period_start("month", days_after("data_through", 1)), -1)) }} as month
  from {{ source("control", "run") }}
),

-- Who came back stays in another way: the first spell alone tells how long customers stay.
spells as (
  select
    spells.*,
    coalesce(accounts.channel, '(none)') as channel,
    spells.last_month < complete.month as is_lost,
    {{ periods_between("month", "spells.first_month", "least(spells.last_month, complete.month)") }} as renewal_count
  from {{ ref("int_clv__subscription_spells") }} as spells
  inner join {{ ref("dim_accounts") }} as accounts on spells.account_id = accounts.account_id
  cross join complete
  where spells.spell_number = 1 and spells.first_month <= complete.month and not accounts.is_internal
),

ended as (
  select plan, channel, is_lost, renewal_count + case when is_lost then 1 else 0 end as period
  from spells
)

select
  plan,
  channel,
  period,
  sum(case when is_lost then 1 else 0 end) as lost,
  sum(case when is_lost then 0 else 1 end) as alive
from ended
group by plan, channel, period
