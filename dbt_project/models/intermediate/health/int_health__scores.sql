{%- set components = health_components() %}

with accounts as (
  select * from {{ ref("int_health__accounts") }}
),

usage as (
  select * from {{ ref("int_health__usage") }}
),

support as (
  select * from {{ ref("int_health__support") }}
),

outcomes as (
  select * from {{ ref("int_health__outcomes") }}
),

relationship as (
  select * from {{ ref("int_health__relationship") }}
),

growth as (
  select * from {{ ref("int_health__growth") }}
),

onboarding as (
  select * from {{ ref("int_health__onboarding") }}
),

components as (
  select
    accounts.*,
    usage.product_usage_score,
    usage.feature_adoption_score,
    usage.missing_usage_terms,
    usage.missing_adoption_terms,
    support.missing_support_terms,
    relationship.missing_relationship_terms,
    support.support_engagement_score,
    outcomes.business_outcomes_score,
    relationship.relationship_health_score,
    growth.account_growth_score,
    relationship.nps_mean,
    coalesce(outcomes.is_roi_reached, false) as is_roi_reached,
    growth.has_expanded,
    coalesce(onboarding.has_succeeded, false) as has_succeeded
  from accounts
  {%- for part in ["usage", "support", "outcomes", "relationship", "growth", "onboarding"] %}
  left join {{ part }}
    on accounts.as_of_date = {{ part }}.as_of_date and accounts.account_id = {{ part }}.account_id
  {%- endfor %}
),

scored as (
  select
    *,
    -- Rounded where the order of the terms would show: a light must not hang on it.
    round(
      (
        {%- for name, weight in components.items() %}
        {{ weight }}e0 * coalesce({{ name }}_score, 0){{ " +" if not loop.last }}
        {%- endfor %}
      ) / nullif(
        {%- for name, weight in components.items() %}
        case when {{ name }}_score is null then 0e0 else {{ weight }}e0 end{{ " +" if not loop.last }}
        {%- endfor %},
        0
      ),
      6
    ) as health_score
  from components
)

select
  *,
  {{ health_light("health_score") }} as light,
  case
    when not is_paying then 'trial'
    when tenure_days < 28 and not has_succeeded then 'onboarding'
    when is_annual and days_to_renewal between 0 and 60 then 'renewal'
    when nps_mean >= 9 then 'advocacy'
    when has_expanded then 'expansion'
    when is_roi_reached then 'value_realization'
    else 'adoption'
  end as lifecycle_stage
from scored
