{#- What a row may lack: by the states of a source, the day of a fact, and the columns that somebody must have filled. -#}
{%- set sources = {
  "tickets": ("ticket_states", "opened_date", {
    "has_first_responses": "first_response_at",
    "has_resolutions": "resolved_at",
    "has_contacts": "contacts",
  }),
  "feedback": ("feedback_states", "created_date", {
    "has_answers": "answered_at",
  }),
} %}

with as_of_dates as (
  select * from {{ ref("int_accounts__as_of_dates") }}
),

facts as (
  select * from {{ ref("int_delivery__facts") }}
),

ticket_states as (
  select * from {{ ref("stg_ticket_states") }}
),

feedback_states as (
  select * from {{ ref("stg_feedback_states") }}
),

sent as (
  select
    as_of_dates.as_of_date,
    max(case when facts.fact = 'events.event=logged_in' then 1 else 0 end) = 1 as has_logins,
    count(case when facts.fact in ({{ core_event_facts() }}) then facts.fact end) as core_event_names
  from as_of_dates
  left join facts on facts.known_date <= as_of_dates.as_of_date
  group by as_of_dates.as_of_date
)
{%- for source, (states, day, flags) in sources.items() %},

{{ source }} as (
  select
    as_of_dates.as_of_date,
    {%- for flag, column in flags.items() %}
    count({{ states }}.{{ column }}) > 0 as {{ flag }}{{ "," if not loop.last }}
    {%- endfor %}
  from as_of_dates
  left join {{ states }}
    on {{ states }}.{{ day }} <= as_of_dates.as_of_date and {{ is_known_on(states, "as_of_dates.as_of_date") }}
  group by as_of_dates.as_of_date
)
{%- endfor %}

select
  sent.as_of_date,
  sent.has_logins,
  tickets.has_first_responses,
  tickets.has_resolutions,
  tickets.has_contacts,
  feedback.has_answers,
  sent.core_event_names
from sent
inner join tickets on sent.as_of_date = tickets.as_of_date
inner join feedback on sent.as_of_date = feedback.as_of_date
