{#- The indicators of churn, in the order in which they are named. -#}
{% macro churn_indicators() %}
  {{- return(["usage_decline", "support_tickets", "feature_adoption", "engagement_score", "payment_issues", "contract_proximity"]) -}}
{% endmacro %}

{#- Level of a probability to leave, by the configured bounds. -#}
{% macro churn_risk_level(probability) -%}
  {%- set medium, high, critical = var("churn_risk_levels").split() -%}
  case
    when {{ probability }} >= {{ critical }} then 'critical'
    when {{ probability }} >= {{ high }} then 'high'
    when {{ probability }} >= {{ medium }} then 'medium'
    when {{ probability }} < {{ medium }} then 'low'
  end
{%- endmacro %}
