{%- set columns = ["spend", "impressions", "clicks", "signup_count", "new_customer_count", "paid_customer_count", "revenue", "margin"] %}
-- Every month the channels add up to all, in every column and to the cent.
{{ config(meta={"dagster": {"ref": {"name": "mart_ltv_cac__channel_month"}}}) }}
with months as (
  select
    month,
    {%- for column in columns %}
    coalesce(sum(case when channel = 'all' then {{ column }} end), 0) as all_{{ column }},
    coalesce(sum(case when channel <> 'all' then {{ column }} end), 0) as channels_{{ column }},
    {%- endfor %}
    count(case when channel = 'all' then 1 end) as all_row_count
  from {{ ref("mart_ltv_cac__channel_month") }}
  group by month
)

select *
from months
where
  all_row_count <> 1
  {%- for column in columns %}
  or all_{{ column }} <> channels_{{ column }}
  {%- endfor %}
