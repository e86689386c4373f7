-- The revenue of the last complete day by another way: every state that holds on it, of accounts that are not internal, summed up without
-- months, movements or segments. Compared to half a cent for each account, which is rounded by itself.
{{ config(meta={"dagster": {"ref": {"name": "mart_mrr__month"}}}) }}
with expected as (
  select coalesce(sum(states.mrr), 0) as mrr, count(distinct states.account_id) as account_count
  from {{ ref("int_money__paying_states") }} as states
  inner join {{ ref("dim_accounts") }} as accounts on states.account_id = accounts.account_id
  where states.through_date = {{ data_through() }}
),

found as (
  select mart.closing_mrr as mrr, mart.closing_account_count as account_count
  from {{ ref("mart_mrr__month") }} as mart
  where mart.dimension = 'all' and mart.month = {{ period_start("month", data_through()) }}
)

select found.mrr as mart_mrr, expected.mrr as subscription_mrr
from expected
left join found on true
where
  found.mrr is null
  or abs(found.mrr - expected.mrr) > 0.005 * expected.account_count
