with users as (
  select * from {{ ref("stg_users") }}
),

merged_users as (
  select * from {{ ref("int_identity__merged_users") }}
),

signups as (
  select
    users.*,
    {{ person_of_user("users.user_id", "merged_users") }} as person_id
  from users
  left join merged_users on users.user_id = merged_users.user_id
  where users.signed_up_date <= {{ data_through() }}
)

select
  user_id,
  person_id,
  account_id,
  signed_up_at,
  signed_up_date,
  invited_by_user_id,
  role,
  country,
  city_tier,
  coalesce(is_internal, false) as is_internal,
  row_number() over (partition by person_id order by signed_up_at, user_id) as user_number
from signups
