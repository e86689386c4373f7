select distinct identities.person_id
from {{ ref("stg_users") }} as users
inner join {{ ref("int_identity__users") }} as identities on users.user_id = identities.user_id
cross join {{ source("control", "run") }} as run
where users.is_internal and users.signed_up_date <= run.data_through
