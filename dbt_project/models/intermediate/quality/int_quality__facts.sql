{#- Where the rows of each source are after the facts were made of them; events, by far the most, are counted by visitor and day. -#}
{%- set facts = {
  "users": "stg_users", "accounts": "stg_accounts", "subscriptions": "stg_subscriptions", "payments": "stg_payments",
  "orders": "stg_orders", "ad_spend": "stg_ad_spend", "tickets": "stg_tickets", "surveys": "stg_surveys", "feedback": "stg_feedback",
  "wecom": "stg_wecom", "outcomes": "stg_outcomes", "exposures": "stg_exposures", "fx_rates": "stg_fx_rates", "erasures": "stg_erasures",
} %}
{%- set by_users = ["users", "payments", "orders", "tickets", "surveys", "feedback", "wecom"] %}

with internal_users as (
  select users.user_id
  from {{ ref("int_identity__users") }} as users
  inner join {{ ref("int_identity__internal_persons") }} as internal on users.person_id = internal.person_id
)

select
  'events' as source,
  visitor_day.landed_date,
  sum(visitor_day.event_count) as fact_count,
  sum(case when visitor_day.is_bot then visitor_day.event_count else 0 end) as bot_count,
  sum(case when internal.person_id is not null and not visitor_day.is_bot then visitor_day.event_count else 0 end) as internal_count
from {{ ref("int_activity__visitor_day") }} as visitor_day
{{ join_visitors("visitor_day") }}
left join {{ ref("int_identity__internal_persons") }} as internal on visitors.person_id = internal.person_id
group by visitor_day.landed_date

{%- for name, model in facts.items() %}

union all

select
  '{{ name }}' as source,
  facts.landed_date,
  {{ "sum(facts.row_count)" if name == "ad_spend" else "count(*)" }} as fact_count,
  null as bot_count,
  {{ "count(internal_users.user_id)" if name in by_users else "null" }} as internal_count
from {{ ref(model) }} as facts
{%- if name in by_users %}
left join internal_users on facts.user_id = internal_users.user_id
{%- endif %}
group by facts.landed_date
{%- endfor %}
