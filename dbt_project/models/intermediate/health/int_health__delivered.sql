{%- set flags = {
  "has_logins": "events.event=logged_in",
  "has_first_responses": "tickets.first_response_at",
  "has_resolutions": "tickets.resolved_at",
  "has_contacts": "tickets.contacts",
  "has_answers": "feedback.answered_at",
} %}

select
  dates.as_of_date,
  {%- for flag, fact in flags.items() %}
  max(case when facts.fact = '{{ fact }}' then 1 else 0 end) = 1 as {{ flag }},
  {%- endfor %}
  count(case when facts.fact in ({{ core_event_facts() }}) then facts.fact end) as core_event_names
from {{ ref("int_churn__as_of_dates") }} as dates
left join {{ ref("int_delivery__facts") }} as facts on facts.known_date <= dates.as_of_date
group by dates.as_of_date
