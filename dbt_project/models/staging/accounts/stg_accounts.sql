with deduplicated as (
  {{ one_per_key(
    "accounts",
    ["account_id", "created_at", "name", "industry", "company_size", "country", "owner", "updated_at"]
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
  arrived_date,
  landed_date
from deduplicated
