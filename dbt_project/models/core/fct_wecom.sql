{%- set topics = wecom_topics() %}

with landed as (
  select
    *,
    case kind
      {%- for topic, kinds in topics.items() %}
      when '{{ kinds[0] }}' then '{{ topic }}'
      when '{{ kinds[1] }}' then '{{ topic }}'
      {%- endfor %}
    end as topic,
    case
      {%- for kinds in topics.values() %}
      when kind = '{{ kinds[1] }}' then 1
      {%- endfor %}
      else 0
    end as is_answer
  from {{ ref("stg_wecom") }}
),

identities as (
  select * from {{ ref("int_identity__users") }}
),

persons as (
  select * from {{ ref("dim_persons") }}
),

internal_persons as (
  select * from {{ ref("int_identity__internal_persons") }}
),

-- A step and its answer belong together when nothing of the two kinds lies between them. Of what happened at once the answer comes last.
followed as (
  select
    *,
    lead(kind) over contact_in_order as next_kind,
    lead(occurred_at) over contact_in_order as next_occurred_at
  from landed
  where topic is not null
  window contact_in_order as (partition by topic, contact_id order by occurred_at, is_answer, interaction_id)
)

select
  followed.interaction_id,
  followed.contact_id,
  followed.user_id,
  followed.topic,
  followed.kind,
  followed.is_answer = 1 as is_answer,
  followed.occurred_at,
  followed.occurred_date,
  followed.next_kind,
  followed.next_occurred_at,
  persons.person_id,
  persons.channel,
  persons.country
from followed
left join identities on followed.user_id = identities.user_id
left join persons on identities.person_id = persons.person_id
left join internal_persons on identities.person_id = internal_persons.person_id
where followed.occurred_date <= {{ data_through() }} and internal_persons.person_id is null
