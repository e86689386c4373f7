{%- set sources = ["stg_users", "stg_orders", "stg_payments", "stg_tickets", "stg_surveys", "stg_feedback", "stg_wecom"] %}

with merged_users as (
  select * from {{ ref("int_identity__merged_users") }}
),

user_ids as (
  select user_id from {{ ref("int_identity__pairs") }}
  {%- for source in sources %}
  union distinct
  select user_id from {{ ref(source) }}
  {%- endfor %}
)

select
  user_ids.user_id,
  {{ person_of_user("user_ids.user_id", "merged_users") }} as person_id
from user_ids
left join merged_users on user_ids.user_id = merged_users.user_id
where user_ids.user_id is not null
