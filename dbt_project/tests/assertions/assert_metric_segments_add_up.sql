-- For each dimension the segments add up to all, in what is counted and of what. A growth is a quotient and does not. The cost of
-- acquisition does in the cost alone: of a channel without a cost the customers count for all but not for the channel; so it is left out
-- where it is set against what customers are worth. Their worth is published to a hundredth of a cent each; that of a channel may be
-- known while that of others, and so of all, is not.
{{ config(meta={"dagster": {"ref": {"name": "mart_metric__daily"}}}) }}
with totals as (
  select
    daily.metric,
    daily.period_start,
    daily.dimension,
    sum(coalesce(daily.numerator, 0)) as numerator,
    sum(case when daily.metric = 'cac' then 0 else coalesce(daily.denominator, 0) end) as denominator
  from {{ ref("mart_metric__daily") }} as daily
  inner join {{ ref("mart_metric_tree__current") }} as tree on daily.metric = tree.metric
  where tree.kind <> 'growth' and daily.metric not in ('ltv_to_cac', 'cac_to_ltv_alarm')
  group by daily.metric, daily.period_start, daily.dimension
)

select
  parts.*,
  whole.numerator as all_numerator,
  whole.denominator as all_denominator
from totals as parts
left join totals as whole on parts.metric = whole.metric and parts.period_start = whole.period_start and whole.dimension = 'all'
where
  (whole.metric is null and parts.metric <> 'ltv')
  or abs(parts.numerator - whole.numerator) > 1e-9 * (1 + abs(whole.numerator)) + case when parts.metric = 'ltv' then 1e-4 * whole.denominator else 0 end
  or abs(parts.denominator - whole.denominator) > 1e-9 * (1 + abs(whole.denominator))
