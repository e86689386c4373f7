{%- set products = [("mapu", "paying_accounts", "core_use_rate"), ("signups", "visitors", "visit_to_signup")] %}
-- In every period and segment a metric is what drives it times the rate; who never occurs in a segment counts nothing there. A rate
-- may need what the others do not, and be unknown.
{%- for whole, factor, rate in products %}
select period_start, dimension, segment, '{{ whole }}' as metric
from {{ ref("mart_metric__daily") }}
where
  metric in ('{{ whole }}', '{{ factor }}', '{{ rate }}')
  and period_start in (select period_start from {{ ref("mart_metric__daily") }} where metric = '{{ rate }}' and dimension = 'all')
group by period_start, dimension, segment
having
  coalesce(max(case when metric = '{{ whole }}' then numerator end), 0) <> coalesce(max(case when metric = '{{ rate }}' then numerator end), 0)
  or coalesce(max(case when metric = '{{ factor }}' then numerator end), 0) <> coalesce(max(case when metric = '{{ rate }}' then denominator end), 0)
{{ "union all" if not loop.last }}
{%- endfor %}
