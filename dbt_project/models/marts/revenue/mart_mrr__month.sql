{%- set dimensions = ["plan", "channel", "country", "industry"] %}
{%- set movements = ["new", "reactivation", "expansion", "contraction", "churned"] %}
{%- set measures = ["opening"] + movements + ["transferred", "closing"] %}

with accounts as (
  select
    *,
    case when closing_mrr > 0 and opening_plan <> plan then opening_mrr else 0 end as transferred_mrr
  from {{ ref("int_revenue__mrr_movements") }}
),

-- What an account paid at the beginning stands where it was then, everything else where it is now; what it brought along leaves the
-- one and enters the other.
sides as (
  select
    month,
    opening_plan as plan,
    channel,
    country,
    industry,
    'opening' as movement,
    opening_mrr,
    0 as moved_mrr,
    -transferred_mrr as transferred_mrr,
    0 as closing_mrr
  from accounts
  where opening_mrr > 0

  union all

  select
    month,
    plan,
    channel,
    country,
    industry,
    movement,
    0 as opening_mrr,
    abs(closing_mrr - opening_mrr) as moved_mrr,
    transferred_mrr,
    closing_mrr
  from accounts
),

summed as (
  select
    month,
    dimension,
    segment,
    sum(opening_mrr) as opening_mrr,
    count(case when opening_mrr > 0 then 1 end) as opening_account_count,
    {%- for movement in movements %}
    sum(case when movement = '{{ movement }}' then moved_mrr else 0 end) as {{ movement }}_mrr,
    count(case when movement = '{{ movement }}' then 1 end) as {{ movement }}_account_count,
    {%- endfor %}
    sum(transferred_mrr) as transferred_mrr,
    sum(sign(transferred_mrr)) as transferred_account_count,
    sum(closing_mrr) as closing_mrr,
    count(case when closing_mrr > 0 then 1 end) as closing_account_count
  from (
    {{ by_segment(
      "sides", ["month", "movement", "opening_mrr", "moved_mrr", "transferred_mrr", "closing_mrr"], dimensions
    ) | indent(4) }}
  ) as segmented
  group by month, dimension, segment
),

-- As long as nobody pays there is the running month, with zeros.
segments as (
  select dimension, segment, min(month) as first_month
  from (
    select
      dimension,
      segment,
      month
    from summed

    union all

    select
      'all' as dimension,
      'all' as segment,
      {{ period_start("month", data_through()) }} as month
  ) as known
  group by dimension, segment
),

months as (
  {{ spine("segments", "first_month", "month") | indent(2) }}
),

cells as (
  select
    months.period_start as month,
    months.dimension,
    months.segment,
    {%- for measure in measures %}
    coalesce(summed.{{ measure }}_mrr, 0) as {{ measure }}_mrr,
    coalesce(summed.{{ measure }}_account_count, 0) as {{ measure }}_account_count,
    {%- endfor %}
    {{ period_is_over("month", "months.period_start") }} as is_complete
  from months
  left join summed
    on months.period_start = summed.month and months.dimension = summed.dimension and months.segment = summed.segment
),

-- Whoever paid at the beginning counts, in the segment that it moved to: then no segment loses or keeps what was never its own.
based as (
  select
    *,
    opening_mrr + transferred_mrr as base_mrr,
    opening_account_count + transferred_account_count as base_account_count
  from cells
)

select
  month,
  dimension,
  segment,
  {%- for measure in measures %}
  cast({{ measure }}_mrr as decimal(18, 2)) as {{ measure }}_mrr,
  {%- endfor %}
  {%- for measure in measures %}
  cast({{ measure }}_account_count as bigint) as {{ measure }}_account_count,
  {%- endfor %}
  case when is_complete then (base_mrr + expansion_mrr - contraction_mrr - churned_mrr) / nullif(base_mrr, 0) end as nrr_rate,
  case when is_complete then (base_mrr - contraction_mrr - churned_mrr) / nullif(base_mrr, 0) end as grr_rate,
  case when is_complete then churned_account_count / nullif(base_account_count, 0) end as logo_churn_rate,
  cast(closing_mrr / nullif(closing_account_count, 0) as decimal(18, 4)) as arpa,
  case when is_complete then (new_mrr + reactivation_mrr + expansion_mrr) / nullif(contraction_mrr + churned_mrr, 0) end as quick_ratio,
  is_complete
from based
