{{ config(materialized="incremental", incremental_strategy="replace_days", on_schema_change="fail") }}

with events as (
  {{ of_affected_days(ref("int_events__unique")) }}
  where not kept.is_bot
),

-- A step names an event by its core name or as it landed.
names as (
  select distinct event, landed_event from events
),

step_names as (
  select names.event, names.landed_event, steps.funnel, steps.step_number
  from names
  inner join {{ ref("int_funnel__steps") }} as steps
    on names.event = steps.event or names.landed_event = steps.event
),

candidates as (
  select step_names.funnel, step_names.step_number, events.*
  from events
  inner join step_names on events.event = step_names.event and events.landed_event = step_names.landed_event
),

literals as (
  select
    candidates.funnel,
    candidates.step_number,
    candidates.event_id,
    conditions.condition_number,
    conditions.operator,
    conditions.literal_text,
    conditions.literal_number,
    {{ event_attribute("candidates", "conditions.attribute") }} as attribute_text
  from candidates
  inner join {{ source("control", "funnel_conditions") }} as conditions
    on candidates.funnel = conditions.funnel and candidates.step_number = conditions.step_number
),

compared as (
  select
    *,
    case operator
      when 'is null' then attribute_text is null
      when 'is not null' then attribute_text is not null
      {%- for operator in ["=", "<>", "<", "<=", ">", ">="] %}
      when '{{ operator }}'
        then
          case
            when literal_number is null then attribute_text {{ operator }} literal_text
            else {{ number_of("attribute_text") }} {{ operator }} literal_number
          end
      {%- endfor %}
      when 'in' then case when literal_number is null then attribute_text = literal_text else {{ number_of("attribute_text") }} = literal_number end
    end as is_match
  from literals
),

-- Literals of one comparison are alternatives (`in`), comparisons of one filter must all hold.
failed as (
  select distinct funnel, step_number, event_id
  from (
    select funnel, step_number, event_id, condition_number, max(case when is_match then 1 else 0 end) as is_met
    from compared
    group by funnel, step_number, event_id, condition_number
  ) as conditions
  where is_met = 0
)

select
  candidates.funnel,
  candidates.step_number,
  candidates.event_date,
  candidates.occurred_at,
  candidates.event_id,
  candidates.anonymous_id,
  candidates.user_id
from candidates
left join failed
  on
    candidates.funnel = failed.funnel
    and candidates.step_number = failed.step_number
    and candidates.event_id = failed.event_id
where failed.event_id is null
