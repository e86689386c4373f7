{%- set components = health_components() %}

with scores as (
  select * from {{ ref("int_health__scores") }}
),

-- Of as-of dates 8 days apart, one lies in any 8 days: of the latest, 26 to 33 days before; of the others, 32.
earlier as (
  select
    later.as_of_date,
    former.as_of_date as former_date
  from {{ ref("int_accounts__as_of_dates") }} as later
  inner join {{ ref("int_accounts__as_of_dates") }} as former
    on former.as_of_date between {{ days_after("later.as_of_date", -33) }} and {{ days_after("later.as_of_date", -26) }}
),

-- What a component costs: how far the score lies below 100 because of it, by the weights that are left.
gaps as (
  {%- for name, weight in components.items() %}
  select
    as_of_date,
    account_id,
    {{ loop.index }} as position,
    '{{ name }}' as component,
    {{ weight }}e0 * (100 - {{ name }}_score) as gap
  from scores
  where {{ name }}_score < 100
  {{ "union all" if not loop.last }}
  {%- endfor %}
),

ranked as (
  select
    *,
    row_number() over (partition by as_of_date, account_id order by round(gap, 6) desc, position) as gap_number
  from gaps
),

opportunities as (
  select
    as_of_date,
    account_id,
    concat_ws(
      ', ', max(case when gap_number = 1 then component end), max(case when gap_number = 2 then component end)
    ) as improvement_opportunities
  from ranked
  group by as_of_date, account_id
)

select
  scores.as_of_date,
  scores.account_id,
  scores.lifecycle_stage,
  scores.health_score,
  scores.light,
  {%- for name in components %}
  cast(scores.{{ name }}_score as double) as {{ name }}_score,
  {%- endfor %}
  nullif(concat_ws(
    ', '
    {%- for name in components %},
    case when scores.{{ name }}_score is null then '{{ name }}' end
    {%- endfor %}
  ), '') as missing_components,
  nullif(concat_ws(
    '; ',
    'product_usage: ' || scores.missing_usage_terms,
    'feature_adoption: ' || scores.missing_adoption_terms,
    'support_engagement: ' || scores.missing_support_terms,
    'relationship_health: ' || scores.missing_relationship_terms
  ), '') as missing_terms,
  scores.health_score - former.health_score as trend_30d,
  nullif(concat_ws(
    ', '
    {%- for name in components %},
    case when scores.{{ name }}_score < 50 then '{{ name }}' end
    {%- endfor %}
  ), '') as risk_factors,
  opportunities.improvement_opportunities
from scores
left join earlier on scores.as_of_date = earlier.as_of_date
left join scores as former on earlier.former_date = former.as_of_date and scores.account_id = former.account_id
left join opportunities on scores.as_of_date = opportunities.as_of_date and scores.account_id = opportunities.account_id
