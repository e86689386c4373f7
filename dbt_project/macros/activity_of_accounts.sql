{#-
  Rows of a relation by event day, account and visitor, once for each as-of date that the night replaces and in whose 90 days they lie, with
  `as_of_date` and `days_before`: of accounts that pay or are in trial on it, as far as they had arrived by it, without bots as far as they
  were known for bots. No view, since a filter on the date would not reach through it: 7.4 s for what takes 0.3.
-#}
{% macro activity_of_accounts(relation, visitor_id) -%}
  select
    days.as_of_date,
    days.days_before,
    activity.*
  from (
    select days.*
    from {{ ref("int_accounts__days") }} as days
    inner join ({{ replaced_as_of_dates() | indent(4) }}) as dates on days.as_of_date = dates.as_of_date
  ) as days
  inner join {{ relation }} as activity
    on days.calendar_date = activity.event_date and activity.arrived_date <= days.as_of_date
  inner join (
    select distinct subscriptions.as_of_date, subscriptions.account_id
    from {{ ref("int_accounts__subscriptions") }} as subscriptions
    inner join ({{ replaced_as_of_dates() | indent(4) }}) as dates on subscriptions.as_of_date = dates.as_of_date
    where subscriptions.is_paying or subscriptions.is_trial
  ) as accounts
    on days.as_of_date = accounts.as_of_date and activity.account_id = accounts.account_id
  left join {{ ref("int_activity__bot_days") }} as bot_days
    on
      activity.event_date = bot_days.event_date
      and {{ visitor_id }} = bot_days.visitor_id
      and bot_days.known_date <= days.as_of_date
  where bot_days.visitor_id is null
{%- endmacro %}

{#- The same of events by day, and of features used by day. -#}
{% macro account_days() %}{{ activity_of_accounts(ref("int_activity__account_day"), "activity.visitor_id") }}{% endmacro %}
{% macro feature_days() -%}
  {{ activity_of_accounts(
    ref("int_activity__feature_day"), visitor_of("activity")
  ) }}
{%- endmacro %}
