{{ config(materialized="incremental", incremental_strategy="replace_as_of", on_schema_change="fail") }}

with dates as (
  {{ replaced_as_of_dates() }}
)

select
  feature_days.as_of_date,
  feature_days.account_id,
  feature_days.feature,
  min(feature_days.days_before) as days_before
from {{ ref("int_accounts__feature_days") }} as feature_days
inner join dates on feature_days.as_of_date = dates.as_of_date
group by feature_days.as_of_date, feature_days.account_id, feature_days.feature
