{%- set silent_days = 30 %}
{%- set shares = {
  "core_feature_adoption": "is_core_user",
  "community_participation": "has_posted",
  "features_used_avg": "feature_count",
} %}

with persons as (
  select person_id, channel, country, signed_up_date
  from {{ ref("int_metrics__persons") }}
),

-- Whoever has not signed up cannot use much, nor be called back.
active_users as (
  select months.*, persons.channel, persons.country
  from {{ ref("int_metrics__person_months") }} as months
  inner join persons on months.person_id = persons.person_id
  where {{ period_start("month", "persons.signed_up_date") }} <= months.month
),

silences as (
  select
    person_id,
    {{ days_after("active_date", silent_days) }} as silent_date,
    case when days_to_next <= {{ silent_days + 7 }} then 1 else 0 end as is_woken
  from {{ ref("int_engagement__active_days") }}
  where days_to_next is null or days_to_next > {{ silent_days }}
)

select 'mau' as metric, months.first_active_date as measured_date, persons.channel, persons.country, 1 as numerator, null as denominator
from {{ ref("int_metrics__person_months") }} as months
inner join persons on months.person_id = persons.person_id

union all
{% for metric, amount in shares.items() %}
select '{{ metric }}' as metric, first_active_date as measured_date, channel, country, {{ amount }} as numerator, 1 as denominator
from active_users

union all
{% endfor %}
select
  'session_minutes_avg' as metric,
  sessions.session_date as measured_date,
  persons.channel,
  persons.country,
  cast(sessions.length_seconds / 60 as decimal(18, 6)) as numerator,
  1 as denominator
from {{ ref("fct_sessions") }} as sessions
inner join persons on sessions.person_id = persons.person_id

union all

select
  'silent_user_wakeup' as metric,
  silences.silent_date as measured_date,
  persons.channel,
  persons.country,
  silences.is_woken as numerator,
  1 as denominator
from silences
inner join persons on silences.person_id = persons.person_id
where persons.signed_up_date <= silences.silent_date
