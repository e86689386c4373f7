{#-
  The events by which somebody uses what the product is for, its AI matching: a match was asked for, or one succeeded. A shop or a
  product of another kind maps its own events onto these (`event_names`); `feature_used` is about everything around it.
-#}
{% macro core_feature_events() -%} 'match_requested', 'value_achieved' {%- endmacro %}

{#- The same as facts that may have been delivered (int_delivery__facts). -#}
{% macro core_event_facts() -%} 'events.event=match_requested', 'events.event=value_achieved' {%- endmacro %}
