select
  tickets.as_of_date,
  tickets.account_id,
  40 * 3e0 / (
    3 + count(*) + 2 * count(case when tickets.is_severe then tickets.ticket_id end)
    + count(case when tickets.is_unsolved then tickets.ticket_id end)
  )
  + 20 * avg(case when tickets.first_response_at <= {{ seconds_after("tickets.opened_at", 24 * 3600) }} then 1 else 0 end)
  + 20 * avg(case when not tickets.is_unsolved and tickets.resolved_at <= {{ seconds_after("tickets.opened_at", 72 * 3600) }} then 1 else 0 end)
  + 20 * avg(case when coalesce(tickets.contacts, 1) <= 2 then 1 else 0 end) as support_engagement_score
from {{ ref("int_churn__tickets") }} as tickets
group by tickets.as_of_date, tickets.account_id
