{#- The person behind a pair of ids: the user, else the user that the anonymous id belongs to, else the anonymous id itself. -#}
{% macro person_id(user_id, mapped_user_id, anonymous_id) -%}
  coalesce('u:' || {{ user_id }}, 'u:' || {{ mapped_user_id }}, 'a:' || {{ anonymous_id }})
{%- endmacro %}
