-- depends_on: {{ source("lake", "events") }}
with landed as (
  select
    *,
    {{ local_date("occurred_at") }} as event_date
  from {{ source("control", "events_to_fold") }}
)

select
  landed.event_id,
  landed.event,
  landed.occurred_at,
  landed.received_at,
  landed.anonymous_id,
  landed.user_id,
  landed.account_id,
  landed.session_id,
  landed.page,
  landed.referrer,
  landed.utm_source,
  landed.utm_medium,
  landed.utm_campaign,
  landed.utm_content,
  landed.utm_term,
  landed.device_type,
  landed.os,
  landed.country,
  landed.city_tier,
  landed.feature,
  landed.value,
  landed.properties,
  landed.event_date,
  landed.arrived_date,
  landed.landed_file,
  landed.landed_row
from landed
