{%- set products = [("mapu", "paying_accounts", "core_use_rate"), ("signups", "visitors", "visit_to_signup")] %}
-- In every period and segment a metric is what drives it times the rate; who never occurs in a segment counts nothing there. A rate
-- may need what the others do not, and be unknown.
{%- for whole, factor, rate in products %}
select daily.period_start, daily.dimension, daily.segment, '{{ whole }}' as metric
from {{ ref("mart_metric__daily") }} as daily
inner join {{ ref("mart_metric__daily") }} as rates
  on daily.period_start = rates.period_start and rates.metric = '{{ rate }}' and rates.dimension = 'all'
where daily.metric in ('{{ whole }}', '{{ factor }}', '{{ rate }}')
group by daily.period_start, daily.dimension, daily.segment
having
  coalesce(max(case when daily.metric = '{{ whole }}' then daily.numerator end), 0)
  <> coalesce(max(case when daily.metric = '{{ rate }}' then daily.numerator end), 0)
  or coalesce(max(case when daily.metric = '{{ factor }}' then daily.numerator end), 0)
  <> coalesce(max(case when daily.metric = '{{ rate }}' then daily.denominator end), 0)
{{ "union all" if not loop.last }}
{%- endfor %}
