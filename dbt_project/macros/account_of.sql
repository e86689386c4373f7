{#-
  Rows of a relation with `as_of_date`, `account_id` and `user_id`, each with the account that it names, or else the one that its user was
  known to belong to on the as-of date; rows without either are left out. Two branches, since a left join whose condition tests its own
  rows (`account_id is null and ...`) runs as a nested loop: 8 s for tickets of a year, these 0.2 s.
-#}
{% macro of_their_accounts(relation, columns) -%}
  select as_of_date, account_id, {{ columns | join(", ") }}
  from {{ relation }}
  where account_id is not null
  union all
  select {{ relation }}.as_of_date, members.account_id, {{ relation }}.{{ columns | join(", " ~ relation ~ ".") }}
  from {{ relation }}
  inner join {{ ref("int_accounts__members") }} as members
    on
      {{ relation }}.user_id = members.user_id
      and members.known_from <= {{ relation }}.as_of_date
      and {{ relation }}.as_of_date < coalesce(members.known_until, {{ days_after(relation ~ ".as_of_date", 1) }})
  where {{ relation }}.account_id is null and members.account_id is not null
{%- endmacro %}
