with deduplicated as (
  {{ one_per_key(
    "users",
    ["user_id", "account_id", "signed_up_at", "role", "invited_by_user_id", "country", "city_tier", "gender",
     "birth_year", "is_internal", "updated_at"]
  ) }}
)

select
  user_id,
  account_id,
  signed_up_at,
  role,
  invited_by_user_id,
  country,
  city_tier,
  gender,
  birth_year,
  is_internal,
  updated_at,
  {{ local_date('signed_up_at') }} as signed_up_date,
  arrived_date,
  landed_date
from deduplicated
