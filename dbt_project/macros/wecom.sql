{#- What WeCom is asked about: the step that is taken towards a contact, and the contact's answer to it. -#}
{% macro wecom_topics() %}
  {{- return({
    "friend": ("friend_requested", "friend_accepted"),
    "message": ("message_sent", "message_replied"),
    "moment": ("moment_posted", "moment_reacted"),
  }) -}}
{% endmacro %}
