{%- set sources = ["stg_users", "stg_orders", "stg_payments", "stg_tickets", "stg_surveys", "stg_feedback", "stg_wecom"] %}

with user_ids as (
  select user_id from {{ ref("int_identity__pairs") }}
  {%- for source in sources %}
  union distinct
  select user_id from {{ ref(source) }}
  {%- endfor %}
)

select
  user_ids.user_id,
  'u:' || coalesce(merged.person_user_id, user_ids.user_id) as person_id
from user_ids
left join {{ ref("int_identity__merged_users") }} as merged on user_ids.user_id = merged.user_id
where user_ids.user_id is not null
