with newest as (
  select
    metric,
    {{ largest_row(["period_start", "value", "status"], where="is_complete and dimension = 'all'") }} as complete,
    count(*) as row_count
  from {{ ref("mart_metric__daily") }}
  group by metric
)

select
  definitions.metric,
  definitions.parent,
  definitions.label_zh,
  definitions.label_en,
  definitions.tier,
  definitions.stage,
  definitions.kind,
  definitions.period,
  definitions.numerator as numerator_definition,
  definitions.denominator as denominator_definition,
  definitions.unit,
  definitions.direction,
  definitions.target,
  definitions.note,
  newest.metric is not null as is_computed,
  case
    when newest.metric is not null then null
    when requirements.missing_reason is not null then 'needs ' || requirements.missing_reason
    else coalesce(definitions.missing, 'nothing to compute it from yet' || coalesce(': needs ' || definitions.requires, ''))
  end as missing_reason,
  {{ field("newest.complete", "period_start") }} as latest_period_start,
  {{ field("newest.complete", "value") }} as latest_value,
  {{ field("newest.complete", "status") }} as latest_status
from {{ ref("int_metrics__definitions") }} as definitions
left join {{ ref("int_metrics__requirements") }} as requirements on definitions.metric = requirements.metric
left join newest on definitions.metric = newest.metric
