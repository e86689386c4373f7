{#- The components of a health score and their weights, which add up to 1, in the order in which they are named. -#}
{% macro health_components() %}
  {{- return({
    "product_usage": 0.25,
    "feature_adoption": 0.20,
    "support_engagement": 0.15,
    "business_outcomes": 0.20,
    "relationship_health": 0.10,
    "account_growth": 0.10,
  }) -}}
{% endmacro %}

{#- Light of a health score: green from 75, red below 50. -#}
{% macro health_light(score) -%}
  case when {{ score }} >= 75 then 'green' when {{ score }} >= 50 then 'amber' when {{ score }} < 50 then 'red' end
{%- endmacro %}

{#- A number held within bounds; unlike least and greatest, which skip what is unknown, NULL stays NULL. -#}
{% macro within(value, low, high) -%}
  case when {{ value }} < {{ low }} then {{ low }} when {{ value }} > {{ high }} then {{ high }} else {{ value }} end
{%- endmacro %}

{#- Mean of the expressions that are not NULL; NULL when all are. -#}
{% macro mean_of_known(expressions) -%}
  ({% for expression in expressions %}coalesce({{ expression }}, 0){{ " + " if not loop.last }}{% endfor %})
  / nullif({% for expression in expressions %}case when {{ expression }} is null then 0 else 1 end{{ " + " if not loop.last }}{% endfor %}, 0)
{%- endmacro %}

{#- Growth from one amount to another as a share: a half for none, 1 from a quarter more, 0 from a quarter less; NULL from nothing. -#}
{% macro growth_share(now, then) -%}
  (0.5e0 + 2 * {{ within(now ~ " / nullif(" ~ then ~ ", 0) - 1", "-0.25e0", "0.25e0") }})
{%- endmacro %}

{#- Weighted sum of shares as a score of 100; those that are NULL are left out and the weights of the others rescaled. NULL when all are. -#}
{% macro weighted_mean_of_known(weights) -%}
  100 * ({% for name, weight in weights.items() %}{{ weight }} * coalesce({{ name }}, 0){{ " + " if not loop.last }}{% endfor %})
  / nullif({% for name, weight in weights.items() %}case when {{ name }} is null then 0 else {{ weight }} end{{ " + " if not loop.last }}{% endfor %}, 0)
{%- endmacro %}

{#- Names of the shares that are NULL where others are known, separated by commas; NULL when none is. -#}
{% macro names_of_unknown(names) -%}
  case
    when coalesce({{ names | join(", ") }}) is not null
      then nullif(concat_ws(', '{% for column, name in names.items() %}, case when {{ column }} is null then '{{ name }}' end{% endfor %}), '')
  end
{%- endmacro %}
