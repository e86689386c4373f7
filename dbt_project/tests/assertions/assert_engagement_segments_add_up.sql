-- For each dimension and day the segments add up to all, in the trailing windows too.
with totals as (
  select
    date,
    dimension,
    sum(active_count) as active_count,
    sum(wau) as wau,
    sum(mau) as mau,
    sum(dormant_count) as dormant_count,
    sum(core_feature_user_count) as core_feature_user_count
  from {{ ref("mart_engagement__daily") }}
  group by date, dimension
)

select parts.*
from totals as parts
inner join totals as whole on parts.date = whole.date and whole.dimension = 'all'
where
  row(parts.active_count, parts.wau, parts.mau, parts.dormant_count, parts.core_feature_user_count)
  <> row(whole.active_count, whole.wau, whole.mau, whole.dormant_count, whole.core_feature_user_count)
