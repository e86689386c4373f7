{%- set answers = {
  "wecom_friend_acceptance": ("friend_requested", "friend_accepted"),
  "wecom_reply_rate": ("message_sent", "message_replied"),
  "wecom_moments_engagement": ("moment_posted", "moment_reacted"),
} %}

with profiles as (
  select users.user_id, persons.channel, persons.country, persons.is_internal
  from {{ ref("int_identity__users") }} as users
  inner join {{ ref("dim_persons") }} as persons on users.person_id = persons.person_id
),

-- What is said in a user's name counts where the person stands, otherwise where the account does.
{%- for source in ["tickets", "surveys", "feedback"] %}
{{ source }} as (
  select
    {{ source }}.*,
    coalesce(profiles.channel, accounts.channel) as profile_channel,
    coalesce(profiles.country, accounts.country) as country
  from {{ ref("stg_" ~ source) }} as {{ source }}
  left join profiles on {{ source }}.user_id = profiles.user_id
  left join {{ ref("dim_accounts") }} as accounts on {{ source }}.account_id = accounts.account_id
  where not coalesce(profiles.is_internal, accounts.is_internal, false)
),
{% endfor %}
-- A step and its answer belong together when nothing of the two kinds lies between them. Of what happened at once the answer comes last.
interactions as (
  select
    case
      {%- for kinds in answers.values() %}
      when kind = '{{ kinds[1] }}' then 1
      {%- endfor %}
      else 0
    end as is_answer,
    case kind
      {%- for metric, kinds in answers.items() %}
      when '{{ kinds[0] }}' then '{{ metric }}'
      when '{{ kinds[1] }}' then '{{ metric }}'
      {%- endfor %}
    end as metric,
    *
  from {{ ref("stg_wecom") }}
),

followed as (
  select
    *,
    lead(kind) over contact_in_order as next_kind,
    lead(occurred_at) over contact_in_order as next_occurred_at
  from interactions
  where metric is not null
  window contact_in_order as (partition by metric, contact_id order by occurred_at, is_answer, interaction_id)
)

select
  'nps' as metric,
  responded_date as measured_date,
  profile_channel as channel,
  country,
  case when score >= 9 then 1 when score <= 6 then -1 else 0 end as numerator,
  1 as denominator
from surveys
where kind = 'nps'

union all

select
  'support_response_hours' as metric,
  opened_date as measured_date,
  profile_channel as channel,
  country,
  cast({{ seconds_between("opened_at", "first_response_at") }} / 3600 as decimal(18, 6)) as numerator,
  1 as denominator
from tickets
where first_response_at is not null

union all

select
  'first_contact_resolution' as metric,
  opened_date as measured_date,
  profile_channel as channel,
  country,
  case when contacts <= 1 then 1 else 0 end as numerator,
  1 as denominator
from tickets
where resolved_at is not null and contacts is not null

union all

select
  'feedback_response_rate' as metric,
  created_date as measured_date,
  profile_channel as channel,
  country,
  case when answered_at is not null then 1 else 0 end as numerator,
  1 as denominator
from feedback

{%- for metric, kinds in answers.items() %}

union all

select
  '{{ metric }}' as metric,
  followed.occurred_date as measured_date,
  profiles.channel,
  profiles.country,
  case
    when followed.next_kind = '{{ kinds[1] }}' and followed.next_occurred_at <= {{ seconds_after("followed.occurred_at", 7 * 86400) }} then 1
    else 0
  end as numerator,
  1 as denominator
from followed
left join profiles on followed.user_id = profiles.user_id
where followed.kind = '{{ kinds[0] }}' and not coalesce(profiles.is_internal, false)
{%- endfor %}
