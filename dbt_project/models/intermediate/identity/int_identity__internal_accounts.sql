with signups as (
  select * from {{ ref("int_identity__signups") }}
),

internal_persons as (
  select * from {{ ref("int_identity__internal_persons") }}
)

select signups.account_id
from signups
left join internal_persons on signups.person_id = internal_persons.person_id
where signups.account_id is not null
group by signups.account_id
having count(*) = count(internal_persons.person_id)
