with signups as (
  select person_id, signed_up_at as converted_at
  from {{ ref("dim_persons") }}
  where signed_up_at is not null
),

first_orders as (
  select identities.person_id, min(orders.ordered_at) as converted_at
  from {{ ref("fct_orders") }} as orders
  inner join {{ ref("int_identity__users") }} as identities on orders.user_id = identities.user_id
  where orders.is_purchase
  group by identities.person_id
),

conversions as (
  select 'signup' as conversion, person_id, converted_at from signups
  union all
  select 'first_order' as conversion, person_id, converted_at from first_orders
  union all
  select 'first_payment' as conversion, person_id, occurred_at as converted_at
  from {{ ref("int_funnel__milestones") }}
  where event = 'subscription_paid'
),

sessions as (
  select person_id, started_at, channel, case when channel = 'direct' then 0 else 1 end as is_campaign
  from {{ ref("fct_sessions") }}
),

-- Whoever comes back directly was brought by what brought them last before that.
before as (
  select
    conversions.conversion,
    conversions.person_id,
    conversions.converted_at,
    {{ largest_row(["is_campaign", "started_at", "channel"]) }} as last_touch
  from conversions
  inner join sessions
    on
      conversions.person_id = sessions.person_id
      and sessions.started_at <= conversions.converted_at
      and conversions.converted_at <= {{ seconds_after("sessions.started_at", 30 * 24 * 3600) }}
  group by conversions.conversion, conversions.person_id, conversions.converted_at
)

select
  conversions.conversion,
  conversions.person_id,
  conversions.converted_at,
  persons.channel as first_touch_channel,
  {{ field("before.last_touch", "channel") }} as last_touch_channel
from conversions
left join {{ ref("dim_persons") }} as persons on conversions.person_id = persons.person_id
left join before
  on conversions.person_id = before.person_id and conversions.conversion = before.conversion
where not coalesce(persons.is_internal, false)
