{#-
  Whether a ticket stops its customer from working, by the words that help desks have for it; any other severity, and none, is not severe.
-#}
{% macro is_severe_ticket(severity) -%}
  coalesce(lower({{ severity }}) in ('high', 'urgent', 'critical', 'severe', 'blocker', 'p0', 'p1', 'sev0', 'sev1'), false)
{%- endmacro %}
