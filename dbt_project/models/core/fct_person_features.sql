with feature_days as (
  select * from {{ ref("int_activity__feature_day") }}
  where not is_bot and event_date <= {{ data_through() }}
),

internal_persons as (
  select * from {{ ref("int_identity__internal_persons") }}
)

select
  visitors.person_id,
  feature_days.event_date,
  feature_days.feature,
  sum(feature_days.use_count) as use_count
from feature_days
{{ join_visitors("feature_days") }}
left join internal_persons on visitors.person_id = internal_persons.person_id
where internal_persons.person_id is null
group by visitors.person_id, feature_days.event_date, feature_days.feature
