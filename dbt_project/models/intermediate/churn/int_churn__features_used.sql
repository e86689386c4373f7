{{ config(materialized="incremental", incremental_strategy="replace_as_of", on_schema_change="fail") }}

with feature_days as (
  {{ feature_days() | indent(2) }}
)

select
  as_of_date,
  account_id,
  feature,
  min(days_before) as days_before
from feature_days
group by as_of_date, account_id, feature
