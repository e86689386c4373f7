select
  metrics.metric,
  metrics.parent,
  metrics.kind,
  metrics.period,
  metrics.growth_of,
  metrics.lag_days,
  metrics.requires,
  metrics.numerator,
  metrics.denominator,
  metrics.missing,
  coalesce(targets.label_zh, metrics.label_zh) as label_zh,
  coalesce(targets.label_en, metrics.label_en) as label_en,
  targets.tier,
  targets.stage,
  targets.unit,
  targets.note,
  targets.direction,
  coalesce(configured.target, targets.target) as target
from {{ ref("metrics") }} as metrics
left join {{ ref("targets") }} as targets on metrics.metric = targets.metric
left join {{ source("control", "metric_targets") }} as configured on metrics.metric = configured.metric
