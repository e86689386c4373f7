-- What a segment had at the end of a month it has at the beginning of the next.
{{ config(meta={"dagster": {"ref": {"name": "mart_mrr__month"}}}) }}
with months as (
  select
    month,
    dimension,
    segment,
    opening_mrr,
    opening_account_count,
    lag(closing_mrr, 1, 0) over (partition by dimension, segment order by month) as closed_mrr,
    lag(closing_account_count, 1, 0) over (partition by dimension, segment order by month) as closed_account_count
  from {{ ref("mart_mrr__month") }}
)

select *
from months
where opening_mrr <> closed_mrr or opening_account_count <> closed_account_count
