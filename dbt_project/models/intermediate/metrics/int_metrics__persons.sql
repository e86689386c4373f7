with firsts as (
  select
    person_id,
    min(first_value_at) as first_value_at,
    min(first_onboarded_at) as first_onboarded_at,
    min(first_content_at) as first_content_at
  from {{ ref("int_activity__person_day") }}
  group by person_id
)

select
  persons.person_id,
  persons.channel,
  persons.country,
  persons.signed_up_at,
  persons.signed_up_date,
  case when users.invited_by_user_id is null then 0 else 1 end as is_invited,
  firsts.first_value_at,
  firsts.first_onboarded_at,
  firsts.first_content_at
from {{ ref("dim_persons") }} as persons
left join {{ ref("stg_users") }} as users on persons.user_id = users.user_id
left join firsts on persons.person_id = firsts.person_id
where not persons.is_internal
