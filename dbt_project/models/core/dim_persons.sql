-- Of a person with several users the one who signed up first speaks for them.
with users as (
  select
    identities.person_id,
    users.*,
    row_number() over (partition by identities.person_id order by users.signed_up_at, users.user_id) as user_number
  from {{ ref("stg_users") }} as users
  inner join {{ ref("int_identity__users") }} as identities on users.user_id = identities.user_id
  cross join {{ source("control", "run") }} as run
  where users.signed_up_date <= run.data_through
),

shoppers as (
  select distinct identities.person_id
  from {{ ref("fct_orders") }} as orders
  inner join {{ ref("int_identity__users") }} as identities on orders.user_id = identities.user_id
),

person_ids as (
  select person_id from {{ ref("int_identity__first_touches") }}
  union distinct
  select person_id from users
  union distinct
  select person_id from shoppers
)

select
  person_ids.person_id,
  users.user_id,
  users.account_id,
  first_touches.first_seen_at,
  first_touches.first_seen_date,
  users.signed_up_at,
  users.signed_up_date,
  first_touches.channel,
  first_touches.device_type as device,
  coalesce(users.country, first_touches.country) as country,
  coalesce(users.city_tier, first_touches.city_tier) as city_tier,
  users.role,
  internal.person_id is not null as is_internal
from person_ids
left join {{ ref("int_identity__first_touches") }} as first_touches on person_ids.person_id = first_touches.person_id
left join users on person_ids.person_id = users.person_id and users.user_number = 1
left join {{ ref("int_identity__internal_persons") }} as internal on person_ids.person_id = internal.person_id
