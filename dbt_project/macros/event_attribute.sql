{#- Text of the event attribute that a filter names, as data: a column of the contract or a member of `properties`. -#}
{% macro event_attribute(event, attribute) -%}
  case
    {%- for column in ["event_id", "event", "occurred_at", "received_at", "anonymous_id", "user_id", "account_id", "session_id", "page",
      "referrer", "utm_source", "utm_medium", "utm_campaign", "utm_content", "utm_term", "device_type", "os", "country", "city_tier",
      "feature", "value"] %}
    when {{ attribute }} = '{{ column }}' then cast({{ event }}.{{ column }} as varchar)
    {%- endfor %}
    else {{ json_text(event ~ ".properties", "substr(" ~ attribute ~ ", 12)") }}
  end
{%- endmacro %}
