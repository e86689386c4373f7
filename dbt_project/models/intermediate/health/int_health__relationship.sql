{%- set facts = [
  ("stg_survey_states", "responded_date", "kind", "score", "null"),
  ("stg_feedback_states", "created_date", "'feedback'", "null", "answered_at"),
] %}

with facts as (
  {%- for model, day, kind, score, answered_at in facts %}
  select
    account_id,
    user_id,
    {{ day }} as happened_date,
    arrived_date,
    known_until,
    {{ kind }} as kind,
    cast({{ score }} as bigint) as score,
    cast({{ answered_at }} as timestamp) as answered_at
  from {{ ref(model) }}
  {{ "union all" if not loop.last }}
  {%- endfor %}
),

known as (
  select
    days.as_of_date,
    facts.account_id,
    facts.user_id,
    facts.kind,
    facts.score,
    coalesce({{ local_date("facts.answered_at") }} <= days.as_of_date, false) as is_answered,
    delivered.has_answers
  from {{ ref("int_accounts__days") }} as days
  inner join facts on days.calendar_date = facts.happened_date and {{ is_known_on("facts", "days.as_of_date") }}
  inner join {{ ref("int_health__delivered") }} as delivered on days.as_of_date = delivered.as_of_date
),

owned as (
  {{ of_their_accounts("known", ["kind", "score", "is_answered", "has_answers"]) | indent(2) }}
),

means as (
  select
    as_of_date,
    account_id,
    avg(case when kind = 'nps' then score end) as nps_mean,
    avg(case when kind = 'csat' then score end) as csat_mean,
    avg(case when kind = 'feedback' and has_answers then case when is_answered then 1 else 0 end end) as answered_share,
    max(case when kind = 'feedback' and not has_answers then 1 else 0 end) = 1 as is_answer_unknown
  from owned
  group by as_of_date, account_id
)

select
  as_of_date,
  account_id,
  nps_mean,
  {{ mean_of_known(["10 * nps_mean", "25 * (" ~ within("csat_mean - 1", "0e0", "4e0") ~ ")", "100 * answered_share"]) }} as relationship_health_score,
  case when is_answer_unknown and coalesce(nps_mean, csat_mean) is not null then 'answers' end as missing_relationship_terms
from means
