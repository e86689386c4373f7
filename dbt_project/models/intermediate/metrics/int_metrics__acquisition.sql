with persons as (
  select * from {{ ref("int_metrics__persons") }}
),

signups as (
  select *, {{ period_start("month", "signed_up_date") }} as month
  from persons
  where signed_up_date is not null
),

seen as (
  select months.month, months.first_active_date, persons.*
  from {{ ref("int_metrics__person_months") }} as months
  inner join persons on months.person_id = persons.person_id
),

not_yet_users as (
  select * from seen
  where signed_up_date is null or signed_up_date >= month
),

-- Whoever signs up in a month is its visitor, with an event in it or without.
visitors as (
  select
    coalesce(seen.first_active_date, signups.signed_up_date) as measured_date,
    coalesce(seen.channel, signups.channel) as channel,
    coalesce(seen.country, signups.country) as country,
    case when signups.person_id is null then 0 else 1 end as is_signup
  from not_yet_users as seen
  full outer join signups on seen.person_id = signups.person_id and seen.month = signups.month
)

select 'signups' as metric, signed_up_date as measured_date, channel, country, 1 as numerator, null as denominator
from signups

union all

select 'visitors' as metric, measured_date, channel, country, 1 as numerator, null as denominator
from visitors

union all

select 'visit_to_signup' as metric, measured_date, channel, country, is_signup as numerator, 1 as denominator
from visitors

union all

select 'viral_coefficient' as metric, signed_up_date as measured_date, channel, country, is_invited as numerator, 0 as denominator
from signups

union all

select 'viral_coefficient' as metric, first_active_date as measured_date, channel, country, 0 as numerator, 1 as denominator
from seen

union all

select
  'content_conversion' as metric,
  {{ local_date("first_content_at") }} as measured_date,
  channel,
  country,
  case when signed_up_at <= {{ seconds_after("first_content_at", 30 * 86400) }} then 1 else 0 end as numerator,
  1 as denominator
from persons
where first_content_at is not null and (signed_up_at is null or signed_up_at > first_content_at)
