{{ config(materialized="incremental", incremental_strategy="replace_visitor_days", on_schema_change="fail") }}

-- Few columns of all events, and all columns of those alone whose step has conditions.
with events as (
  {{ of_affected_visitor_days(
    ref("int_events__unique"), ["event_id", "event", "landed_event", "event_date", "occurred_at", "anonymous_id", "user_id"]
  ) }}
  where not kept.is_bot
),

whole_events as (
  {{ of_affected_visitor_days(ref("int_events__unique")) }}
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
  select
    step_names.funnel,
    step_names.step_number,
    events.event_date,
    events.occurred_at,
    events.event_id,
    events.anonymous_id,
    events.user_id
  from events
  inner join step_names on events.event = step_names.event and events.landed_event = step_names.landed_event
),

conditioned as (
  select step_names.event, step_names.landed_event, conditions.*
  from step_names
  inner join {{ source("control", "funnel_conditions") }} as conditions
    on step_names.funnel = conditions.funnel and step_names.step_number = conditions.step_number
),

literals as (
  select
    conditioned.funnel,
    conditioned.step_number,
    whole_events.event_id,
    conditioned.condition_number,
    conditioned.operator,
    conditioned.literal_text,
    conditioned.literal_number,
    {{ event_attribute("whole_events", "conditioned.attribute") }} as attribute_text
  from whole_events
  inner join conditioned
    on whole_events.event = conditioned.event and whole_events.landed_event = conditioned.landed_event
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
  candidates.user_id,
  min(candidates.step_number) over (partition by candidates.funnel, candidates.event_id) as first_step_number
from candidates
left join failed
  on
    candidates.funnel = failed.funnel
    and candidates.step_number = failed.step_number
    and candidates.event_id = failed.event_id
where failed.event_id is null
