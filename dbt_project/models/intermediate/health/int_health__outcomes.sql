with days as (
  select * from {{ ref("int_accounts__days") }}
),

outcomes as (
  select * from {{ ref("stg_outcome_states") }}
),

measured as (
  select
    days.as_of_date,
    outcomes.account_id,
    outcomes.expected_roi,
    outcomes.actual_roi,
    outcomes.efficiency_gain,
    row_number() over (
      partition by days.as_of_date, outcomes.account_id
      order by outcomes.measured_at desc
    ) as measurement_number
  from days
  inner join outcomes on days.calendar_date = outcomes.measured_date and {{ is_known_on("outcomes", "days.as_of_date") }}
),

shares as (
  select
    as_of_date,
    account_id,
    {{ within("cast(case when expected_roi > 0 then actual_roi end as double) / cast(expected_roi as double)", "0e0", "1e0") }} as roi_share,
    {{ within("cast(efficiency_gain as double) / 0.2e0", "0e0", "1e0") }} as efficiency_share,
    expected_roi > 0 and actual_roi >= expected_roi as is_roi_reached
  from measured
  where measurement_number = 1
)

select
  as_of_date,
  account_id,
  case
    when roi_share is null then 100 * efficiency_share
    when efficiency_share is null then 100 * roi_share
    else 70 * roi_share + 30 * efficiency_share
  end as business_outcomes_score,
  coalesce(is_roi_reached, false) as is_roi_reached
from shares
