with first_touches as (
  select
    touches.*,
    channels.channel
  from {{ ref("int_identity__first_touches") }} as touches
  left join {{ ref("int_identity__channels") }} as channels
    on
      touches.utm_source is not distinct from channels.utm_source
      and touches.utm_medium is not distinct from channels.utm_medium
      and touches.referrer is not distinct from channels.referrer
),

users as (
  select *, 'u:' || user_id as person_id
  from {{ ref("stg_users") }}
),

shoppers as (
  select distinct 'u:' || user_id as person_id
  from {{ ref("fct_orders") }}
),

person_ids as (
  select person_id from first_touches
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
  coalesce(users.is_internal, false) as is_internal
from person_ids
left join first_touches on person_ids.person_id = first_touches.person_id
left join users on person_ids.person_id = users.person_id
