-- Whoever signs up after the last day of data is a visitor until then.
with firsts as (
  select
    activity.person_id,
    min(activity.first_value_at) as first_value_at,
    min(activity.first_onboarded_at) as first_onboarded_at,
    min(activity.first_content_at) as first_content_at
  from {{ ref("int_activity__person_day") }} as activity
  cross join {{ source("control", "run") }} as run
  where activity.event_date <= run.data_through
  group by activity.person_id
)

select
  persons.person_id,
  persons.channel,
  persons.country,
  case when persons.signed_up_date <= run.data_through then persons.signed_up_at end as signed_up_at,
  case when persons.signed_up_date <= run.data_through then persons.signed_up_date end as signed_up_date,
  case when users.invited_by_user_id is null then 0 else 1 end as is_invited,
  firsts.first_value_at,
  firsts.first_onboarded_at,
  firsts.first_content_at
from {{ ref("dim_persons") }} as persons
cross join {{ source("control", "run") }} as run
left join {{ ref("stg_users") }} as users on persons.user_id = users.user_id
left join firsts on persons.person_id = firsts.person_id
where not persons.is_internal
