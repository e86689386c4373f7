with signups as (
  select * from {{ ref("int_identity__signups") }}
  where user_number = 1
),

first_sessions as (
  select * from {{ ref("fct_sessions") }}
  where session_number = 1
),

orders as (
  select * from {{ ref("fct_orders") }}
),

internal_persons as (
  select * from {{ ref("int_identity__internal_persons") }}
),

person_ids as (
  select person_id from first_sessions
  union distinct
  select person_id from signups
  union distinct
  select person_id from orders
)

select
  person_ids.person_id,
  signups.user_id,
  signups.account_id,
  first_sessions.started_at as first_seen_at,
  first_sessions.session_date as first_seen_date,
  signups.signed_up_at,
  signups.signed_up_date,
  signups.invited_by_user_id,
  first_sessions.channel,
  first_sessions.device_type as device,
  coalesce(signups.country, first_sessions.country) as country,
  coalesce(signups.city_tier, first_sessions.city_tier) as city_tier,
  signups.role
from person_ids
left join first_sessions on person_ids.person_id = first_sessions.person_id
left join signups on person_ids.person_id = signups.person_id
left join internal_persons on person_ids.person_id = internal_persons.person_id
where person_ids.person_id is not null and internal_persons.person_id is null
