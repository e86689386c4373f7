with denied as (
  select denied_id from {{ source("control", "denied_ids") }}
),

pairs as (
  select
    pairs.anonymous_id,
    pairs.user_id,
    count(*) over (partition by pairs.anonymous_id) as user_count,
    count(*) over (partition by pairs.user_id) as anonymous_id_count
  from {{ ref("int_identity__pairs") }} as pairs
  where
    pairs.anonymous_id is not null
    and pairs.user_id is not null
    and not pairs.is_bot
    and lower(pairs.anonymous_id) not in (select denied.denied_id from denied)
    and lower(pairs.user_id) not in (select denied.denied_id from denied)
),

links as (
  select anonymous_id, user_id
  from pairs
  where user_count <= {{ var("max_identity_links") }} and anonymous_id_count <= {{ var("max_identity_links") }}
)

select
  anonymous_id,
  user_id,
  -- Everybody on a shared device is tied to one of them: that is enough to make them one.
  min(user_id) over (partition by anonymous_id) as first_user_id
from links
