-- What advertising cost is what the channels and the months as a whole show, with half a cent for each cell that was rounded.
{{ config(meta={"dagster": {"ref": {"name": "mart_ltv_cac__channel_month"}}}) }}
with mart as (
  select
    coalesce(sum(case when channel = 'all' then spend end), 0) as spend,
    coalesce(sum(case when channel <> 'all' then spend end), 0) as channel_spend,
    coalesce(sum(case when channel <> 'all' then 1 end), 0) as cell_count
  from {{ ref("mart_ltv_cac__channel_month") }}
),

facts as (
  select coalesce(sum(cost), 0) as spend
  from {{ ref("fct_ad_spend") }}
)

select mart.spend as mart_spend, mart.channel_spend, facts.spend as fact_spend
from mart
cross join facts
where mart.spend <> mart.channel_spend or abs(mart.spend - facts.spend) > 0.005 * mart.cell_count
