{#-
  Rows of a staging model that are said in the name of a user or an account, with the channel and country of the person, or else of the
  account, that they came by. Left out is what happened after the last complete day, and what is said by staff: the person decides
  where it is known, else the account.
-#}
{% macro of_customers(relation, columns, day) -%}
  select
    {%- for column in columns %}
    facts.{{ column }},
    {%- endfor %}
    identities.person_id,
    coalesce(persons.channel, accounts.channel) as profile_channel,
    coalesce(persons.country, accounts.country) as profile_country
  from {{ relation }} as facts
  left join {{ ref("int_identity__users") }} as identities on facts.user_id = identities.user_id
  left join {{ ref("dim_persons") }} as persons on identities.person_id = persons.person_id
  left join {{ ref("dim_accounts") }} as accounts on facts.account_id = accounts.account_id
  left join {{ ref("int_identity__internal_persons") }} as internal_persons on identities.person_id = internal_persons.person_id
  left join {{ ref("int_identity__internal_accounts") }} as internal_accounts on facts.account_id = internal_accounts.account_id
  where
    facts.{{ day }} <= {{ data_through() }}
    and internal_persons.person_id is null
    and (persons.person_id is not null or internal_accounts.account_id is null)
{%- endmacro %}
