with days as (
  select
    {{ period_start("month", "active_days.active_date") }} as month,
    active_days.person_id,
    active_days.active_date,
    active_days.is_core_user,
    person_day.community_post_count > 0 as has_posted
  from {{ ref("int_engagement__active_days") }} as active_days
  inner join {{ ref("fct_person_days") }} as person_day
    on active_days.person_id = person_day.person_id and active_days.active_date = person_day.event_date
),

months as (
  select
    month,
    person_id,
    min(active_date) as first_active_date,
    max(case when is_core_user then 1 else 0 end) as is_core_user,
    max(case when has_posted then 1 else 0 end) as has_posted
  from days
  group by month, person_id
),

features as (
  select
    {{ period_start("month", "event_date") }} as month,
    person_id,
    count(distinct feature) as feature_count
  from {{ ref("fct_person_features") }}
  group by {{ period_start("month", "event_date") }}, person_id
)

select
  months.month,
  months.person_id,
  months.first_active_date,
  months.is_core_user,
  months.has_posted,
  coalesce(features.feature_count, 0) as feature_count
from months
left join features on months.month = features.month and months.person_id = features.person_id
