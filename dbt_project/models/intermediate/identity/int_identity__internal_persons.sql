select distinct person_id
from {{ ref("int_identity__signups") }}
where is_internal
