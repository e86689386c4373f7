{#- Join of rows that carry an anonymous id and a user id, as they arrived, to the person behind them; the alias is `visitors`. -#}
{% macro join_visitors(relation) -%}
inner join {{ ref("int_identity__visitors") }} as visitors
  on
    {{ relation }}.anonymous_id is not distinct from visitors.anonymous_id
    and {{ relation }}.user_id is not distinct from visitors.user_id
{%- endmacro %}
