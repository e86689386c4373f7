with devices as (
  select distinct links.anonymous_id, users.person_id
  from {{ ref("int_identity__links") }} as links
  inner join {{ ref("int_identity__users") }} as users on links.first_user_id = users.user_id
),

shared_users as (
  select distinct pairs.user_id
  from ({{ usable_pairs() | indent(2) }}) as pairs
  where pairs.anonymous_id_count > {{ var("max_identity_links") }}
),

-- A user id that stands for nobody, or is shared by too many devices, says nothing beside an anonymous id.
known_users as (
  select user_id, person_id
  from {{ ref("int_identity__users") }}
  where
    lower(user_id) not in (select denied.denied_id from {{ source("control", "denied_ids") }} as denied)
    and user_id not in (select shared_users.user_id from shared_users)
)

select
  pairs.anonymous_id,
  pairs.user_id,
  coalesce(users.person_id, devices.person_id, 'a:' || pairs.anonymous_id, 'u:' || pairs.user_id) as person_id
from {{ ref("int_identity__pairs") }} as pairs
left join known_users as users on pairs.user_id = users.user_id
left join devices on pairs.anonymous_id = devices.anonymous_id
