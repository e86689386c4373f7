with users as (
  select * from {{ ref("stg_users") }}
),

identities as (
  select * from {{ ref("int_identity__users") }}
)

select
  users.user_id,
  identities.person_id,
  users.account_id,
  users.signed_up_at,
  users.signed_up_date,
  users.invited_by_user_id,
  users.role,
  users.country,
  users.city_tier,
  coalesce(users.is_internal, false) as is_internal,
  row_number() over (partition by identities.person_id order by users.signed_up_at, users.user_id) as user_number
from users
inner join identities on users.user_id = identities.user_id
where users.signed_up_date <= {{ data_through() }}
