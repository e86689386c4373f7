-- In a run of months the month and its number in the account's order move together.
with numbered as (
  select
    *,
    {{ periods_between("month", "date '2000-01-01'", "month") }} - row_number() over (partition by account_id order by month) as run_number
  from {{ ref("int_money__account_months") }}
),

spells as (
  select
    account_id,
    min(month) as first_month,
    max(month) as last_month,
    {{ smallest_row(["month", "plan"]) }} as first_paid
  from numbered
  group by account_id, run_number
)

select
  account_id,
  row_number() over (partition by account_id order by first_month) as spell_number,
  first_month,
  last_month,
  {{ field("first_paid", "plan") }} as plan
from spells
