with tickets as (
  select
    days.as_of_date,
    coalesce(tickets.account_id, members.account_id) as account_id,
    tickets.ticket_id,
    days.days_before,
    {{ is_severe_ticket("tickets.severity") }} as is_severe,
    coalesce({{ local_date("tickets.resolved_at") }} > days.as_of_date, true) as is_unsolved,
    tickets.opened_at,
    tickets.first_response_at,
    tickets.resolved_at,
    tickets.contacts
  from {{ ref("int_accounts__days") }} as days
  inner join {{ ref("stg_ticket_states") }} as tickets
    on days.calendar_date = tickets.opened_date and {{ is_known_on("tickets", "days.as_of_date") }}
  left join {{ ref("int_accounts__members") }} as members
    on
      tickets.account_id is null
      and tickets.user_id = members.user_id
      and members.known_from <= days.as_of_date
      and days.as_of_date < coalesce(members.known_until, {{ days_after("days.as_of_date", 1) }})
)

select *
from tickets
where account_id is not null
