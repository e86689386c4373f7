with persons as (
  select * from {{ ref("dim_persons") }}
),

firsts as (
  select
    person_id,
    min(first_value_at) as first_value_at,
    min(first_onboarded_at) as first_onboarded_at,
    min(first_content_at) as first_content_at
  from {{ ref("fct_person_days") }}
  group by person_id
)

select
  persons.person_id,
  persons.channel,
  persons.country,
  persons.signed_up_at,
  persons.signed_up_date,
  case when persons.invited_by_user_id is null then 0 else 1 end as is_invited,
  firsts.first_value_at,
  firsts.first_onboarded_at,
  firsts.first_content_at
from persons
left join firsts on persons.person_id = firsts.person_id
