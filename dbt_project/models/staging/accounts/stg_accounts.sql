with deduplicated as (
  {{ one_per_key(
    source("lake", "accounts"),
    ["account_id"],
    ["account_id", "created_at", "name", "industry", "company_size", "country", "owner", "updated_at"], order=["coalesce(updated_at, cast(arrived_date as timestamp)) desc"]
  ) }}
)

select
  account_id,
  created_at,
  name,
  industry,
  company_size,
  country,
  owner,
  updated_at,
  {{ local_date('created_at') }} as created_date,
  arrived_date
from deduplicated
