with pairs as (
  select * from {{ ref("int_identity__pairs") }}
),

merged_users as (
  select * from {{ ref("int_identity__merged_users") }}
),

devices as (
  select distinct
    links.anonymous_id,
    {{ person_of_user("links.first_user_id", "merged_users") }} as person_id
  from {{ ref("int_identity__links") }} as links
  left join merged_users on links.first_user_id = merged_users.user_id
),

shared_users as (
  select distinct usable.user_id
  from ({{ usable_pairs() | indent(2) }}) as usable
  where usable.anonymous_id_count > {{ var("max_identity_links") }}
),

-- A user id that stands for nobody, or is shared by too many devices, says nothing beside an anonymous id.
known_users as (
  select distinct
    pairs.user_id,
    {{ person_of_user("pairs.user_id", "merged_users") }} as person_id
  from pairs
  left join merged_users on pairs.user_id = merged_users.user_id
  where
    lower(pairs.user_id) not in (select denied.denied_id from {{ source("control", "denied_ids") }} as denied)
    and pairs.user_id not in (select shared_users.user_id from shared_users)
)

select
  pairs.anonymous_id,
  pairs.user_id,
  coalesce(users.person_id, devices.person_id, 'a:' || pairs.anonymous_id, 'u:' || pairs.user_id) as person_id
from pairs
left join known_users as users on pairs.user_id = users.user_id
left join devices on pairs.anonymous_id = devices.anonymous_id
