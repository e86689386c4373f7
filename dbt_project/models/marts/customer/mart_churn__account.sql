{%- set indicators = churn_indicators() %}

with scores as (
  select *, {{ churn_risk_level("churn_probability") }} as risk_level
  from {{ source("ml", "churn_scores") }}
),

contributions as (
  {%- for indicator in indicators %}
  select
    as_of_date,
    account_id,
    risk_level,
    {{ loop.index }} as position,
    '{{ indicator }}' as indicator,
    {{ indicator }}_contribution as contribution
  from scores
  where {{ indicator }}_contribution <> 0
  {{ "union all" if not loop.last }}
  {%- endfor %}
),

ranked as (
  select
    *,
    row_number() over (partition by as_of_date, account_id order by abs(contribution) desc, position) as indicator_number
  from contributions
),

keys as (
  select
    ranked.as_of_date,
    ranked.account_id,
    ranked.indicator_number,
    case when ranked.contribution > 0 then '+' else '-' end || ranked.indicator as key_indicator,
    case when ranked.contribution > 0 then actions.action end as action
  from ranked
  left join {{ ref("recommended_actions") }} as actions
    on ranked.indicator = actions.indicator and ranked.risk_level = actions.risk_level
  where ranked.indicator_number <= 3
),

texts as (
  select
    as_of_date,
    account_id,
    {%- for column, separator in [("key_indicator", ", "), ("action", "; ")] %}
    nullif(concat_ws(
      '{{ separator }}'
      {%- for n in [1, 2, 3] %},
      max(case when indicator_number = {{ n }} then {{ column }} end)
      {%- endfor %}
    ), '') as {{ column }}s
    {{- "," if not loop.last }}
    {%- endfor %}
  from keys
  group by as_of_date, account_id
)

select
  scores.as_of_date,
  scores.account_id,
  scores.churn_probability,
  scores.risk_level,
  {%- for indicator in indicators %}
  cast(indicators.{{ indicator }} as double) as {{ indicator }},
  {%- endfor %}
  texts.key_indicators,
  texts.actions as recommended_actions,
  paying.mrr,
  cast(scores.churn_probability * paying.mrr as decimal(18, 2)) as mrr_at_risk,
  row_number() over (
    partition by scores.as_of_date order by scores.churn_probability * paying.mrr desc, scores.account_id
  ) as intervention_priority,
  scores.model_version
from scores
left join {{ ref("int_churn__indicators") }} as indicators
  on scores.as_of_date = indicators.as_of_date and scores.account_id = indicators.account_id
left join {{ ref("int_churn__paying_accounts") }} as paying
  on scores.as_of_date = paying.as_of_date and scores.account_id = paying.account_id
left join texts on scores.as_of_date = texts.as_of_date and scores.account_id = texts.account_id
