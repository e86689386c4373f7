select distinct identities.person_id
from {{ ref("stg_users") }} as users
inner join {{ ref("int_identity__users") }} as identities on users.user_id = identities.user_id
where users.is_internal
