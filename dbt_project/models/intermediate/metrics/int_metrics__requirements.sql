with definitions as (
  select
    metric,
    requires
  from {{ ref("metrics") }}
),

facts as (
  select * from {{ ref("int_delivery__facts") }}
),

needs as (
  select
    metric,
    {{ parts_of("requires", "'; '") }} as need
  from definitions
  where requires is not null
),

alternatives as (
  select
    metric,
    need,
    {{ parts_of("need", "' or '") }} as fact
  from needs
),

looked_up as (
  select
    alternatives.metric,
    alternatives.need,
    alternatives.fact,
    split_part(alternatives.fact, '.', 1) as source,
    facts.fact is not null as is_delivered
  from alternatives
  left join facts on alternatives.fact = facts.fact
),

explained as (
  select
    looked_up.*,
    sources.first_date,
    case
      when sources.fact is null then looked_up.source || ' (nothing has landed)'
      when looked_up.fact like 'events.event=%'
        then
          'the event ' || split_part(looked_up.fact, '=', 2) || ' (never sent; if you send it by another name, map it in [event_names])'
      else looked_up.fact || ' (no row has it)'
    end as explanation
  from looked_up
  left join facts as sources on looked_up.source = sources.fact
),

-- One of a need's alternatives is enough; it is measured from the first day of the earliest of their sources.
met as (
  select
    metric,
    need,
    max(case when is_delivered then 1 else 0 end) = 1 as is_met,
    min(case when is_delivered then first_date end) as first_date,
    {{ joined_texts("explanation", "' or '") }} as explanation
  from explained
  group by metric, need
)

select
  definitions.metric,
  count(case when not met.is_met then met.need end) = 0 as is_met,
  max(met.first_date) as first_date,
  {{ joined_texts("case when not met.is_met then met.explanation end", "' and '") }} as missing_reason
from definitions
left join met on definitions.metric = met.metric
group by definitions.metric
