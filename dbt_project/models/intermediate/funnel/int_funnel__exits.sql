with entries as (
  select
    *,
    {{ period_start("week", "entry_date") }} as week
  from {{ ref("int_funnel__entries") }}
),

ranked as (
  select
    *,
    {{ chain_number(["week"]) }} as chain_number
  from entries
),

-- After a step that is followed by one nobody ever sent, nobody can be said to have stopped.
funnels as (
  select
    steps.funnel,
    max(steps.step_number) as last_step_number
  from {{ ref("int_funnel__known_steps") }} as steps
  where steps.is_known
  group by steps.funnel
),

stopped as (
  select ranked.funnel, ranked.person_id, ranked.week, ranked.depth as step_number, ranked.ended_at
  from ranked
  inner join funnels on ranked.funnel = funnels.funnel
  where ranked.chain_number = 1 and ranked.depth < funnels.last_step_number
),

-- A step that is no event (a payment) may lie in no session: then it is the session before it.
left_from as (
  select
    stopped.funnel,
    stopped.step_number,
    stopped.week,
    {{ page_path("sessions.exit_page") }} as path
  from stopped
  {{ asof_last("stopped", ref("fct_sessions"), "sessions", ["person_id"], "ended_at", "started_at") }}
),

paths as (
  select distinct path from left_from
),

segments as (
  {{ path_segments("paths") }}
),

placed as (
  select
    *,
    lag(decoded) over (partition by path order by place) as preceding
  from segments
),

ids as (
  select lower(user_id) as id from {{ ref("int_identity__users") }}
  union distinct
  select lower(anonymous_id) as id from {{ ref("int_identity__pairs") }}
  union distinct
  select lower(account_id) as id from {{ ref("dim_accounts") }}
),

words as (
  select decoded, decoded as word from segments
  union distinct
  select decoded, {{ words_of("decoded") }} as word from segments
),

-- A short id is named only by a whole segment, for many words are as short.
named as (
  select distinct words.decoded
  from words
  inner join ids on words.word = ids.id
  where words.word = words.decoded or length(words.word) >= 5
),

-- Pages of one kind are one page, and no id of a person is published in a path.
judged as (
  select
    placed.path,
    placed.place,
    placed.segment,
    case
      when placed.decoded in ('', '#', '#!') or own.is_kept then false
      else coalesce(parent.precedes_id, false) or named.decoded is not null or {{ is_id_by_form("placed.decoded") }}
    end as is_id
  from placed
  left join named on placed.decoded = named.decoded
  left join {{ source("control", "page_segments") }} as own on placed.decoded = own.segment
  left join {{ source("control", "page_segments") }} as parent on placed.preceding = parent.segment
),

pages as (
  select
    path,
    {{ path_of("case when is_id then ':id' else segment end", "place") }} as page
  from judged
  group by path
)

select
  left_from.funnel,
  left_from.step_number,
  left_from.week,
  coalesce(pages.page, '(none)') as exit_page,
  count(*) as exit_count
from left_from
left join pages on left_from.path = pages.path
group by left_from.funnel, left_from.step_number, left_from.week, coalesce(pages.page, '(none)')
