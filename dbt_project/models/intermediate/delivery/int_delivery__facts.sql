{#- By source: its staging model, the day of a fact, and what a figure may need of it beyond rows: columns, and single values of them. -#}
{%- set sources = {
  "users": ("stg_users", "signed_up_date", ["invited_by_user_id"], {}),
  "accounts": ("stg_accounts", "created_date", [], {}),
  "subscriptions": ("stg_subscriptions", "changed_date", ["renews_at"], {}),
  "payments": ("stg_payments", "paid_date", [], {}),
  "orders": ("stg_orders", "ordered_date", [], {}),
  "ad_spend": ("stg_ad_spend", "spend_date", [], {}),
  "tickets": ("stg_tickets", "opened_date", ["first_response_at", "resolved_at", "contacts"], {}),
  "surveys": ("stg_surveys", "responded_date", [], {"kind": ["nps", "csat"]}),
  "feedback": ("stg_feedback", "created_date", ["answered_at"], {}),
  "wecom": ("stg_wecom", "occurred_date", [], {
    "kind": ["friend_requested", "friend_accepted", "message_sent", "message_replied", "moment_posted", "moment_reacted"],
  }),
  "outcomes": ("stg_outcomes", "measured_date", [], {}),
} %}

-- What is of a day after `data_through` is delivered when its day has come.
with event_names as (
  select
    event,
    landed_event,
    min(event_date) as first_date,
    min(greatest(arrived_date, event_date)) as known_date
  from {{ ref("int_events__unique") }}
  where event_date <= {{ data_through() }}
  group by event, landed_event
),

delivered as (
  select
    'events' as fact,
    min(first_date) as first_date,
    min(known_date) as known_date
  from event_names

  union all

  {% for name in ["event", "landed_event"] -%}
  select
    'events.{{ name }}=' || {{ name }} as fact,
    min(first_date) as first_date,
    min(known_date) as known_date
  from event_names
  group by {{ name }}

  union all

  {% endfor -%}
  -- Core and other features count when they are named.
  select
    'events.feature' as fact,
    min(event_date) as first_date,
    min(greatest(arrived_date, event_date)) as known_date
  from {{ ref("int_activity__feature_day") }}
  where event_date <= {{ data_through() }}

  union all

  -- A session has a length when it holds two events at least.
  select
    'events.session_minutes' as fact,
    min(event_date) as first_date,
    min(greatest(arrived_date, event_date)) as known_date
  from {{ ref("int_activity__account_day") }}
  where session_microseconds > 0 and event_date <= {{ data_through() }}
  {%- for source, (model, day, columns, values) in sources.items() %}

  union all

  select
    '{{ source }}' as fact,
    min({{ day }}) as first_date,
    min(greatest(arrived_date, {{ day }})) as known_date
  from {{ ref(model) }}
  where {{ day }} <= {{ data_through() }}
  {%- for column in columns %}

  union all

  select
    '{{ source }}.{{ column }}' as fact,
    min({{ day }}) as first_date,
    min(greatest(arrived_date, {{ day }})) as known_date
  from {{ ref(model) }}
  where {{ column }} is not null and {{ day }} <= {{ data_through() }}
  {%- endfor %}
  {%- for column, names in values.items() %}

  union all

  select
    '{{ source }}.{{ column }}=' || {{ column }} as fact,
    min({{ day }}) as first_date,
    min(greatest(arrived_date, {{ day }})) as known_date
  from {{ ref(model) }}
  where {{ column }} in ('{{ names | join("', '") }}') and {{ day }} <= {{ data_through() }}
  group by {{ column }}
  {%- endfor %}
  {%- endfor %}
)

select
  fact,
  first_date,
  known_date
from delivered
where known_date is not null
