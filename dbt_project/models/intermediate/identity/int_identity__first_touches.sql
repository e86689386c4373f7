select
  person_id,
  started_at as first_seen_at,
  session_date as first_seen_date,
  channel,
  device_type,
  country,
  city_tier
from {{ ref("fct_sessions") }}
where session_number = 1
