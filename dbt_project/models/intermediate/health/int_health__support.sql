{%- set terms = {
  "answered": "tickets.first_response_at <= " ~ seconds_after("tickets.opened_at", 24 * 3600),
  "solved": "not tickets.is_unsolved and tickets.resolved_at <= " ~ seconds_after("tickets.opened_at", 72 * 3600),
  "short": "coalesce(tickets.contacts, 1) <= 2",
} %}
{%- set flags = {
  "answered": "has_first_responses",
  "solved": "has_resolutions",
  "short": "has_contacts",
} %}

with tickets as (
  select * from {{ ref("int_accounts__tickets") }}
),

delivered as (
  select * from {{ ref("int_health__delivered") }}
),

shares as (
  select
    tickets.as_of_date,
    tickets.account_id,
    3e0 / (
      3 + count(*) + 2 * count(case when tickets.is_severe then tickets.ticket_id end)
      + count(case when tickets.is_unsolved and delivered.has_resolutions then tickets.ticket_id end)
    ) as volume_share,
    {%- for term, condition in terms.items() %}
    case when delivered.{{ flags[term] }} then avg(case when {{ condition }} then 1 else 0 end) end as {{ term }}_share{{ "," if not loop.last }}
    {%- endfor %}
  from tickets
  inner join delivered on tickets.as_of_date = delivered.as_of_date
  group by tickets.as_of_date, tickets.account_id, delivered.{{ flags.values() | join(", delivered.") }}
)

select
  as_of_date,
  account_id,
  {{ weighted_mean_of_known({
    "volume_share": 40,
    "answered_share": 20,
    "solved_share": 20,
    "short_share": 20,
  }) }} as support_engagement_score,
  {{ names_of_unknown({
    "volume_share": "tickets",
    "answered_share": "first_responses",
    "solved_share": "resolutions",
    "short_share": "contacts",
  }) }} as missing_support_terms
from shares
