{#-
  Pairs of ids that may say who belongs together: neither stands for nobody, and a person used them; with the number of ids that each is
  paired with. An id above `max_identity_links` is shared, and joins nobody.
-#}
{% macro usable_pairs() -%}
  select
    pairs.anonymous_id,
    pairs.user_id,
    count(*) over (partition by pairs.anonymous_id) as user_count,
    count(*) over (partition by pairs.user_id) as anonymous_id_count
  from {{ ref("int_identity__pairs") }} as pairs
  where
    pairs.anonymous_id is not null
    and pairs.user_id is not null
    and not pairs.is_bot
    and lower(pairs.anonymous_id) not in (select denied.denied_id from {{ source("control", "denied_ids") }} as denied)
    and lower(pairs.user_id) not in (select denied.denied_id from {{ source("control", "denied_ids") }} as denied)
{%- endmacro %}
{#- Join of rows that carry an anonymous id and a user id, as they arrived, to the person behind them; the alias is `visitors`. -#}
{% macro join_visitors(relation) -%}
inner join {{ ref("int_identity__visitors") }} as visitors
  on
    {{ relation }}.anonymous_id is not distinct from visitors.anonymous_id
    and {{ relation }}.user_id is not distinct from visitors.user_id
{%- endmacro %}

{#- Person of a user: its own id, or the smallest of the users that devices tie to it; both are relations' columns. -#}
{% macro person_of_user(user_id, merged_users) -%} 'u:' || coalesce({{ merged_users }}.person_user_id, {{ user_id }}) {%- endmacro %}
