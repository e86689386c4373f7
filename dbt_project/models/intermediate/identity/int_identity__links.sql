with pairs as (
  {{ usable_pairs() }}
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
