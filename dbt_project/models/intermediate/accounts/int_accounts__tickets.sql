{%- set columns = [
  "ticket_id", "days_before", "is_severe", "is_unsolved", "opened_at", "first_response_at", "resolved_at", "contacts"
] %}

with known as (
  select
    days.as_of_date,
    days.days_before,
    tickets.account_id,
    tickets.user_id,
    tickets.ticket_id,
    {{ is_severe_ticket("tickets.severity") }} as is_severe,
    coalesce({{ local_date("tickets.resolved_at") }} > days.as_of_date, true) as is_unsolved,
    tickets.opened_at,
    tickets.first_response_at,
    tickets.resolved_at,
    tickets.contacts
  from {{ ref("int_accounts__days") }} as days
  inner join {{ ref("stg_ticket_states") }} as tickets
    on days.calendar_date = tickets.opened_date and {{ is_known_on("tickets", "days.as_of_date") }}
)

{{ of_their_accounts("known", columns) }}
