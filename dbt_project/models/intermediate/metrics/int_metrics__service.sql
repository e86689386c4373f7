{%- set answer_rates = {
  "friend": "wecom_friend_acceptance",
  "message": "wecom_reply_rate",
  "moment": "wecom_moments_engagement",
} %}

with tickets as (
  select * from {{ ref("fct_tickets") }}
),

surveys as (
  select * from {{ ref("fct_surveys") }}
),

feedback as (
  select * from {{ ref("fct_feedback") }}
),

interactions as (
  select * from {{ ref("fct_wecom") }}
)

select
  'nps' as metric,
  responded_date as measured_date,
  profile_channel as channel,
  profile_country as country,
  case when score >= 9 then 1 when score <= 6 then -1 else 0 end as numerator,
  1 as denominator
from surveys
where kind = 'nps'

union all

select
  'support_response_hours' as metric,
  opened_date as measured_date,
  profile_channel as channel,
  profile_country as country,
  cast({{ seconds_between("opened_at", "first_response_at") }} / 3600 as decimal(18, 6)) as numerator,
  1 as denominator
from tickets
where first_response_at is not null

union all

select
  'first_contact_resolution' as metric,
  opened_date as measured_date,
  profile_channel as channel,
  profile_country as country,
  case when contacts <= 1 then 1 else 0 end as numerator,
  1 as denominator
from tickets
where resolved_at is not null and contacts is not null

union all

select
  'feedback_response_rate' as metric,
  created_date as measured_date,
  profile_channel as channel,
  profile_country as country,
  case when answered_at is not null then 1 else 0 end as numerator,
  1 as denominator
from feedback

{%- for topic, metric in answer_rates.items() %}

union all

select
  '{{ metric }}' as metric,
  occurred_date as measured_date,
  channel,
  country,
  case
    when next_kind = '{{ wecom_topics()[topic][1] }}' and next_occurred_at <= {{ seconds_after("occurred_at", 7 * 86400) }} then 1
    else 0
  end as numerator,
  1 as denominator
from interactions
where topic = '{{ topic }}' and not is_answer
{%- endfor %}
