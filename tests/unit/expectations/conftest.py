"""A small company whose marts agree with each other, as a release candidate on disk."""

import shutil
from collections.abc import Callable, Iterator
from datetime import date
from functools import cache
from pathlib import Path

import duckdb
import pytest

from expectations.checks import Context, SourceCounts
from orchestration.config.loading import load
from orchestration.marts import read_specs
from orchestration.warehouse import dbt
from tests.specs import SPECS

THROUGH = date(2026, 3, 31)
MARTS = (
    "mart_funnel__entry",
    "mart_retention__cohort",
    "mart_ltv__cohort",
    "mart_data_quality__daily",
    "mart_engagement__daily",
    "mart_funnel_exits__weekly",
    "mart_funnel_opportunities__current",
    "mart_mrr__month",
    "mart_ltv_cac__channel_month",
    "mart_health__account",
    "mart_churn__account",
    "mart_metric__daily",
    "mart_metric_tree__current",
    "mart_ltv__customer",
    "mart_restatements__release",
)
# The suites of these look into each other's mart.
_TOGETHER = ("mart_metric__daily", "mart_metric_tree__current")


@pytest.fixture(scope="session", autouse=True)
def _declared(prepared: Path) -> None:
    configured = load({"NORTHSTAR_HOME": str(prepared)}, directory=prepared)
    SPECS.update(read_specs(dbt.read_manifest(configured)))


# Every figure follows from one table of persons, so that sums, rates and cohorts agree by construction.
_MARTS_SQL = """
CREATE TEMP TABLE persons AS
SELECT i AS person, DATE '{through}' - (i % {days})::INTEGER AS day,
    1 + i % 3 + (i % 7 = 0)::INTEGER AS deepest, i % 20 AS lapses_after,
    ['direct', 'email', 'paid_search'][1 + i % 3] AS channel, ['mobile', 'desktop'][1 + i % 2] AS device,
    'c' || (i // 5 % {countries}) AS country
FROM range({persons}) AS t(i);

CREATE TEMP TABLE broken_down AS
SELECT persons.*, b.dimension, b.segment FROM persons, unnest([
    {{'dimension': 'all', 'segment': 'all'}}, {{'dimension': 'channel', 'segment': channel}},
    {{'dimension': 'device', 'segment': device}}, {{'dimension': 'country', 'segment': country}}
]) AS u(b);

CREATE TABLE mart_funnel__entry AS
WITH entries AS (
    SELECT 'purchase' AS funnel, entry_grain, CASE entry_grain WHEN 'day' THEN day WHEN 'week' THEN date_trunc('week', day)
        WHEN 'month' THEN date_trunc('month', day) ELSE (SELECT min(day) FROM persons) END::DATE AS entry_start, broken_down.*
    FROM broken_down, unnest(['day', 'week', 'month', 'all']) AS g(entry_grain)
),
steps AS (
    SELECT funnel, entry_grain, entry_start, dimension, segment, step_number::INTEGER AS step_number,
        ['view', 'cart', 'pay'][step_number] AS step, count(*) AS entrant_count,
        count(*) FILTER (WHERE deepest >= step_number) AS person_count,
        avg(lapses_after) FILTER (WHERE deepest >= step_number) AS average,
        median(lapses_after) FILTER (WHERE deepest >= step_number) AS middle,
        quantile_cont(lapses_after, 0.9) FILTER (WHERE deepest >= step_number) AS high
    FROM entries, range(1, 4) AS s(step_number) GROUP BY ALL
),
chained AS (
    SELECT *, lag(person_count) OVER (
        PARTITION BY funnel, entry_grain, entry_start, dimension, segment ORDER BY step_number
    ) AS previous_count
    FROM steps
)
SELECT funnel, entry_grain, entry_start, dimension, segment, step_number, step, entrant_count, person_count, previous_count,
    person_count / nullif(previous_count, 0) AS conversion_rate, person_count / entrant_count AS overall_rate,
    1 - person_count / nullif(previous_count, 0) AS drop_off_rate,
    CASE WHEN step_number > 1 THEN average END AS average_seconds_from_previous,
    CASE WHEN step_number > 1 THEN middle END::DOUBLE AS median_seconds_from_previous,
    CASE WHEN step_number > 1 THEN high END::DOUBLE AS p90_seconds_from_previous,
    CASE entry_grain WHEN 'day' THEN entry_start WHEN 'week' THEN entry_start + 6 WHEN 'month' THEN last_day(entry_start)
        ELSE DATE '{through}' END + 7 <= DATE '{through}' AS is_mature
FROM chained;

CREATE TABLE mart_funnel_exits__weekly AS
WITH stopped AS (
    SELECT deepest::INTEGER AS step_number, date_trunc('week', day)::DATE AS week,
        '/' || lapses_after // (deepest * 3) AS exit_page, count(*) AS exit_count
    FROM persons WHERE deepest < 3 GROUP BY ALL
)
SELECT 'purchase' AS funnel, step_number, week, exit_page, ['view', 'cart'][step_number] AS step,
    (sum(exit_count) OVER steps)::BIGINT AS stopped_count, exit_count, exit_count / sum(exit_count) OVER steps AS share_rate,
    (row_number() OVER (steps ORDER BY exit_count DESC, exit_page))::INTEGER AS exit_rank,
    week + 6 + 7 <= DATE '{through}' AS is_mature
FROM stopped WINDOW steps AS (PARTITION BY step_number, week)
QUALIFY exit_rank <= 5;

CREATE TABLE mart_funnel_opportunities__current AS
WITH depths AS (
    SELECT funnel, greatest(deepest - behind, 1) AS depth FROM persons, (VALUES ('purchase', 0), ('sale', 1)) AS f(funnel, behind)
    WHERE day BETWEEN DATE '{through}' - 34 AND DATE '{through}' - 7
),
steps AS (
    SELECT funnel, step_number::INTEGER AS step_number, ['view', 'cart', 'pay'][step_number] AS step,
        count(*) FILTER (WHERE depth >= step_number - 1) AS entrant_count,
        count(*) FILTER (WHERE depth = step_number - 1) AS lost_person_count
    FROM depths, range(2, 4) AS s(step_number) GROUP BY ALL
),
rated AS (
    SELECT *, 2 * lost_person_count > entrant_count AS is_opportunity,
        row_number() OVER (PARTITION BY 2 * lost_person_count > entrant_count ORDER BY lost_person_count DESC) AS place
    FROM steps
)
SELECT funnel, step_number, step, DATE '{through}' - 34 AS first_entry_date, DATE '{through}' - 7 AS last_entry_date,
    entrant_count, lost_person_count, lost_person_count / entrant_count AS drop_off_rate,
    if(is_opportunity, 'medium', NULL) AS potential_impact, if(is_opportunity, place, NULL)::INTEGER AS opportunity_rank,
    if(is_opportunity, 'Try something.', NULL) AS suggested_experiment
FROM rated;

CREATE TABLE mart_engagement__daily AS
WITH active AS (
    SELECT dimension, segment, person, day + after::INTEGER AS date, after
    FROM broken_down, unnest([0, 1, 4, 12]) AS a(after) WHERE day + after::INTEGER <= DATE '{through}'
),
days AS (
    SELECT dimension, segment, unnest(generate_series(min(date), DATE '{through}', INTERVAL 1 DAY))::DATE AS day
    FROM active GROUP BY ALL
),
counted AS (
    SELECT day, dimension, segment, count(*) FILTER (WHERE date = day) AS active_count,
        count(DISTINCT person) FILTER (WHERE date > day - 7) AS wau, count(DISTINCT person) AS mau,
        count(*) FILTER (WHERE date = day AND after = 0) AS new_count,
        count(*) FILTER (WHERE date = day AND after = 1) AS retained_count,
        count(*) FILTER (WHERE date = day AND after > 1) AS resurrected_count,
        count(*) FILTER (WHERE date = day - 1 AND after > 0) AS dormant_count,
        count(*) FILTER (WHERE date = day AND person % 2 = 0) AS core_feature_user_count
    FROM days JOIN active USING (dimension, segment) WHERE date BETWEEN day - 29 AND day GROUP BY ALL
)
SELECT day AS date, dimension, segment, active_count, wau, mau, active_count / mau AS stickiness_rate, new_count, retained_count,
    resurrected_count, dormant_count, active_count AS session_count,
    if(active_count > 0, 12.5, NULL)::DOUBLE AS session_minutes_avg,
    if(active_count > 0, 11, NULL)::DOUBLE AS session_minutes_median, if(active_count > 0, 2, NULL)::DOUBLE AS features_used_avg,
    core_feature_user_count, (active_count + retained_count) / nullif(active_count, 0) AS streak_days_avg
FROM counted;

CREATE TABLE mart_retention__cohort AS
WITH cells AS (
    SELECT 'exact' AS rule, 'day' AS cohort_grain, k AS period_index, k AS last_period FROM range(15) AS t(k)
    UNION ALL SELECT 'on_or_after', 'day', k, k FROM range(15) AS t(k)
    UNION ALL FROM (VALUES ('bracket', 'day', 1, 3), ('bracket', 'day', 4, 7), ('bracket', 'day', 8, 14))
    UNION ALL SELECT rule, 'week', k, k FROM range(4) AS t(k), (VALUES ('exact'), ('on_or_after')) AS r(rule)
    UNION ALL SELECT rule, 'month', k, k FROM range(2) AS t(k), (VALUES ('exact'), ('on_or_after')) AS r(rule)
),
cohorts AS (
    SELECT cohort_event, rule, cohort_grain, date_trunc(cohort_grain, day)::DATE AS cohort_start, dimension, segment,
        period_index::INTEGER AS period_index, last_period, count(*) AS cohort_count,
        count(*) FILTER (WHERE lapses_after >= period_index) AS returned
    FROM broken_down, cells, unnest(['first_seen', 'signup']) AS e(cohort_event)
    WHERE cohort_event = 'first_seen' OR person % 2 = 0
    GROUP BY ALL
),
aged AS (
    SELECT *, CASE cohort_grain WHEN 'day' THEN cohort_start + last_period::INTEGER
        WHEN 'week' THEN cohort_start + (last_period * 7 + 6)::INTEGER
        ELSE last_day(cohort_start + to_months(last_period::INTEGER)) END <= DATE '{through}' AS is_mature
    FROM cohorts
)
SELECT cohort_event, rule, cohort_grain, cohort_start, dimension, segment, period_index, cohort_count,
    CASE WHEN is_mature THEN returned END AS retained_count,
    CASE WHEN is_mature THEN returned / cohort_count END AS retention_rate, is_mature
FROM aged;

CREATE TABLE mart_ltv__cohort AS
WITH months AS (
    SELECT date_trunc('month', day)::DATE AS cohort_month, dimension, segment, age_months::INTEGER AS age_months,
        count(*) AS customer_count,
        sum(person % 7 + 10 - age_months)::DECIMAL(18, 2) AS revenue
    FROM broken_down, range(3) AS a(age_months) WHERE person % 4 = 0 GROUP BY ALL
),
margins AS (
    SELECT *, (revenue * 0.8)::DECIMAL(18, 2) AS margin,
        last_day(cohort_month + to_months(age_months)) <= DATE '{through}' AS is_mature
    FROM months
)
SELECT cohort_month, dimension, segment, age_months, customer_count, CASE WHEN is_mature THEN revenue END AS revenue,
    CASE WHEN is_mature THEN margin END AS margin,
    CASE WHEN is_mature THEN
        (sum(margin) OVER (PARTITION BY cohort_month, dimension, segment ORDER BY age_months))::DOUBLE / customer_count
    END::DECIMAL(18, 4) AS cumulative_margin_per_customer, {predictions},
    if(is_predicted, 'sbg+bg_nbd_gamma_gamma', 'none: too few customers') AS method, is_mature
FROM (SELECT *, segment <> 'email' AS is_predicted FROM margins);

CREATE TABLE mart_ltv__customer AS
SELECT DATE '{through}' AS as_of_date, 'p_' || person AS person_id, 3::BIGINT AS order_count,
    (person // 4 % 2)::BIGINT AS frequency, (person // 4 % 2 * 5)::BIGINT AS recency_days, 40::BIGINT AS age_days,
    30::DECIMAL(18, 2) AS revenue, 24::DECIMAL(18, 2) AS margin,
    if(person // 4 % 2 = 0, 1, 0.5)::DOUBLE AS p_alive, 0.5::DOUBLE AS expected_orders_90d, 1.5::DOUBLE AS expected_orders_365d,
    COLUMNS(['expected_order_value', 'predicted_ltv_12m', 'predicted_ltv_24m', 'predicted_ltv_36m']),
    'bg_nbd_gamma_gamma' AS method
FROM (
    SELECT person, 10::DECIMAL(18, 4) AS expected_order_value, 50::DECIMAL(18, 4) AS predicted_ltv_12m,
        60::DECIMAL(18, 4) AS predicted_ltv_24m, 70::DECIMAL(18, 4) AS predicted_ltv_36m
    FROM persons WHERE person % 4 = 0
);

CREATE TABLE mart_data_quality__daily AS
WITH arrivals AS (
    SELECT DISTINCT day AS date, source, source = 'events' AS has_bots FROM persons, unnest(['events', 'users']) AS s(source)
)
SELECT date, source, 100::BIGINT AS landed_count, 90::BIGINT AS accepted_count, 3::BIGINT AS quarantined_count,
    7::BIGINT AS duplicate_count, 5::BIGINT AS repeat_count, 2::BIGINT AS conflict_count,
    CASE WHEN has_bots THEN 12::BIGINT END AS late_count,
    CASE WHEN has_bots THEN 5::BIGINT END AS bot_count, 1::BIGINT AS internal_count, 0.9::DOUBLE AS accepted_rate,
    0::BIGINT AS landing_difference, 0::BIGINT AS fact_difference,
    CASE WHEN has_bots THEN 0::INTEGER END AS arrival_delay_days_p50,
    CASE WHEN has_bots THEN 2::INTEGER END AS arrival_delay_days_p95
FROM arrivals;

CREATE TABLE mart_restatements__release AS
SELECT 'r-' || night AS release_id, 'r-' || night - 1 AS previous_release_id,
    DATE '{through}' - (9 - night)::INTEGER AS data_through,
    'mart_engagement__daily' AS mart, 'all' AS series, 'day' AS period, DATE '{through}' - 9 - back::INTEGER AS period_start,
    'active_count' AS measure, value_before::DOUBLE AS value_before, (night + back)::DOUBLE AS value_after,
    (night + back - coalesce(value_before, 0))::DOUBLE AS change,
    ((night + back - value_before) / nullif(abs(value_before), 0))::DOUBLE AS change_rate, cause,
    cause || ', late_facts' AS possible_causes, back AS late_fact_count
FROM range(5, 10) AS nights(night), range(20) AS days(back),
    (SELECT [NULL, 0, 4] AS befores, ['refunds', 'merges'] AS causes),
    LATERAL (SELECT befores[1 + back % 3] AS value_before, causes[1 + back % 2] AS cause);

CREATE TABLE mart_mrr__month AS
WITH accounts AS (
    SELECT person, channel, country, months.i, (DATE '2026-01-01' + to_months(months.i::INTEGER))::DATE AS month, [
        [10, 20, 0], [20, 10, 10], [0, 30, 30], [10, 0, 15], [10, 10, 10], [10, 40, 10]
    ][1 + person // 4 % 6][1 + months.i] AS mrr, if(mrr = 40, 'enterprise', 'professional') AS plan
    FROM persons, range(3) AS months(i) WHERE person % 4 = 0
),
chained AS (
    SELECT *, lag(mrr, 1, 0) OVER history AS opening, lag(plan, 1, plan) OVER history AS old_plan,
        coalesce(max(mrr) OVER (history ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS best
    FROM accounts WINDOW history AS (PARTITION BY person ORDER BY month)
),
booked AS (
    SELECT month, channel, country, old_plan AS plan, 'opening' AS measure, opening AS mrr FROM chained
    UNION ALL SELECT month, channel, country, plan, 'closing', mrr FROM chained
    UNION ALL SELECT month, channel, country, plan, if(best = 0, 'new', 'reactivation'), mrr FROM chained WHERE opening = 0
    UNION ALL SELECT month, channel, country, plan, if(mrr > opening, 'expansion', 'contraction'), abs(mrr - opening)
    FROM chained WHERE opening > 0 AND mrr > 0
    UNION ALL SELECT month, channel, country, old_plan, 'churned', opening FROM chained WHERE mrr = 0
    UNION ALL SELECT month, channel, country, plan, 'transferred', opening FROM chained WHERE plan <> old_plan
    UNION ALL SELECT month, channel, country, old_plan, 'transferred', -opening FROM chained WHERE plan <> old_plan
),
pivoted AS (
    PIVOT (
        SELECT month, b.dimension, b.segment, measure, mrr FROM booked, unnest([
            {{'dimension': 'all', 'segment': 'all'}}, {{'dimension': 'channel', 'segment': channel}},
            {{'dimension': 'country', 'segment': country}}, {{'dimension': 'plan', 'segment': plan}}
        ]) AS u(b)
    )
    ON measure IN ('opening', 'new', 'reactivation', 'expansion', 'contraction', 'churned', 'transferred', 'closing')
    USING coalesce(sum(mrr), 0)::DECIMAL(18, 2) AS mrr, coalesce(sum(sign(mrr)), 0)::BIGINT AS account_count
)
SELECT month, dimension, segment, COLUMNS('.*_mrr'), COLUMNS('.*_account_count'),
    (opening_mrr + transferred_mrr + expansion_mrr - contraction_mrr - churned_mrr) / nullif(opening_mrr + transferred_mrr, 0)
        AS nrr_rate,
    (opening_mrr + transferred_mrr - contraction_mrr - churned_mrr) / nullif(opening_mrr + transferred_mrr, 0) AS grr_rate,
    churned_account_count / nullif(opening_account_count + transferred_account_count, 0) AS logo_churn_rate,
    (closing_mrr / nullif(closing_account_count, 0))::DECIMAL(18, 4) AS arpa,
    (new_mrr + reactivation_mrr + expansion_mrr) / nullif(contraction_mrr + churned_mrr, 0) AS quick_ratio, true AS is_complete
FROM pivoted;

CREATE TABLE mart_ltv_cac__channel_month AS
WITH cells AS (
    SELECT date_trunc('month', day)::DATE AS month, channel, count(*) AS signup_count,
        count(*) FILTER (WHERE person % 4 = 0) AS new_customer_count,
        coalesce(sum(person % 7 + 10) FILTER (WHERE person % 4 = 0), 0) AS revenue
    FROM persons GROUP BY ALL
),
channels AS (
    SELECT month, channel, if(channel = 'direct', 0, 500)::DECIMAL(18, 2) AS spend,
        if(channel = 'direct', NULL, 9000) AS impressions, if(channel = 'direct', NULL, 90) AS clicks,
        signup_count, new_customer_count,
        if(channel = 'direct', 0, new_customer_count) AS paid_customer_count, revenue, revenue * 0.8 AS margin
    FROM cells
),
months AS (
    FROM channels UNION ALL SELECT month, 'all', COLUMNS(c -> c NOT IN ('month', 'channel')) FROM (
        SELECT month, sum(COLUMNS(* EXCLUDE (month, channel))) FROM channels GROUP BY month
    )
)
SELECT month, channel, spend::DECIMAL(18, 2) AS spend, impressions::BIGINT AS impressions, clicks::BIGINT AS clicks,
    signup_count::BIGINT AS signup_count, new_customer_count::BIGINT AS new_customer_count,
    paid_customer_count::BIGINT AS paid_customer_count, revenue::DECIMAL(18, 2) AS revenue, margin::DECIMAL(18, 2) AS margin,
    (spend / nullif(paid_customer_count, 0))::DECIMAL(18, 4) AS paid_cac,
    if(channel = 'all', spend / nullif(new_customer_count, 0), NULL)::DECIMAL(18, 4) AS blended_cac,
    60::DECIMAL(18, 4) AS ltv_predicted,
    60::DECIMAL(18, 4) / nullif(if(channel = 'all', blended_cac, paid_cac), 0) AS ltv_to_cac,
    if(channel = 'all', blended_cac, paid_cac) > 180 AS is_review_triggered,
    if(spend > 0 AND margin >= spend, 0, NULL)::INTEGER AS payback_months,
    revenue::DECIMAL(18, 2) / nullif(spend, 0) AS roas,
    (margin::DECIMAL(18, 2) - spend) / nullif(spend, 0) AS marketing_roi,
    signup_count / sum(signup_count) FILTER (WHERE channel = 'all') OVER (PARTITION BY month) AS signup_share_rate,
    true AS is_complete
FROM months;

CREATE TABLE mart_health__account AS
WITH components AS (
    -- Of every 8th day, counted from 2000-01-01, the last five lie 2, 10, ... days before 2026-03-31.
    SELECT DATE '{through}' - days_before AS as_of_date, 'a' || person AS account_id, (40 + person % 60)::DOUBLE AS usage,
        CASE WHEN person % 5 > 0 THEN (person % 90 + days_before // 8)::DOUBLE END AS growth
    FROM persons, unnest([0, 2, 10, 18, 26, 34]) AS dates(days_before) WHERE person % 9 = 0
),
scored AS (
    SELECT *, round((0.25 * usage + 0.1 * coalesce(growth, 0)) / if(growth IS NULL, 0.25, 0.25 + 0.1), 6) AS health_score
    FROM components
)
SELECT as_of_date, account_id, ['trial', 'adoption', 'renewal'][1 + length(account_id) % 3] AS lifecycle_stage, health_score,
    CASE WHEN health_score >= 75 THEN 'green' WHEN health_score >= 50 THEN 'amber' ELSE 'red' END AS light,
    usage AS product_usage_score, NULL::DOUBLE AS feature_adoption_score, NULL::DOUBLE AS support_engagement_score,
    NULL::DOUBLE AS business_outcomes_score, NULL::DOUBLE AS relationship_health_score, growth AS account_growth_score,
    'feature_adoption, support_engagement, business_outcomes, relationship_health' || if(growth IS NULL, ', account_growth', '')
        AS missing_components,
    if(length(account_id) % 2 = 0, 'product_usage: logins', NULL) AS missing_terms,
    health_score - lag(health_score, 4) OVER (PARTITION BY account_id ORDER BY as_of_date) AS trend_30d,
    nullif(concat_ws(', ', if(usage < 50, 'product_usage', NULL), if(growth < 50, 'account_growth', NULL)), '') AS risk_factors,
    concat_ws(', ', 'product_usage', if(growth < 100, 'account_growth', NULL)) AS improvement_opportunities
FROM scored;

CREATE TABLE mart_churn__account AS
WITH scored AS (
    SELECT *, person % 100 / 120 AS probability, (person % 7 * 100)::DECIMAL(18, 2) AS mrr FROM persons WHERE person % 9 = 0
)
SELECT DATE '{through}' AS as_of_date, 'a' || person AS account_id, probability AS churn_probability,
    CASE WHEN probability >= 0.5 THEN 'critical' WHEN probability >= 0.25 THEN 'high' WHEN probability >= 0.1 THEN 'medium'
        ELSE 'low' END AS risk_level,
    0.2::DOUBLE AS usage_decline, NULL::DOUBLE AS support_tickets, 0.4::DOUBLE AS feature_adoption, 1::DOUBLE AS engagement_score,
    0::DOUBLE AS payment_issues, 0.7::DOUBLE AS contract_proximity,
    if(person % 2 = 0, '+usage_decline, -payment_issues', NULL) AS key_indicators,
    if(person % 2 = 0, 'Call them', NULL) AS recommended_actions, mrr, (probability * mrr)::DECIMAL(18, 2) AS mrr_at_risk,
    row_number() OVER (ORDER BY probability * mrr DESC, person) AS intervention_priority, 'm1' AS model_version
FROM scored;

CREATE TABLE mart_metric_tree__current AS
SELECT metric, parent, metric AS label_zh, metric AS label_en, if(target IS NULL, NULL, 2)::INTEGER AS tier,
    if(target IS NULL, NULL, 'acquisition') AS stage, kind, period, 'this' AS numerator_definition,
    if(kind = 'count', NULL, 'that') AS denominator_definition, if(target IS NULL, NULL, 'x') AS unit,
    if(target IS NULL, NULL, if(kind = 'median', 'at_most', 'at_least')) AS direction, target::DECIMAL(18, 6) AS target,
    NULL::VARCHAR AS note, metric <> 'ltv' AS is_computed, if(metric = 'ltv', 'needs a model', NULL) AS missing_reason,
    if(is_computed AND kind <> 'score', DATE '2026-02-01', NULL) AS latest_period_start, NULL::DOUBLE AS latest_value,
    if(is_computed AND target IS NOT NULL, 'amber', NULL) AS latest_status
FROM (VALUES ('mapu', NULL, 'count', 'month', 95), ('paying_accounts', 'mapu', 'count', 'month', NULL),
    ('core_use_rate', 'mapu', 'ratio', 'month', NULL), ('signups', 'paying_accounts', 'count', 'month', 30),
    ('visitors', 'signups', 'count', 'month', NULL), ('visit_to_signup', 'signups', 'ratio', 'month', 0.08),
    ('visitors_growth', 'visitors', 'growth', 'month', NULL), ('nps', 'mapu', 'score', 'quarter', -54),
    ('time_to_value', 'mapu', 'median', 'month', 3.9), ('ltv', 'mapu', 'ratio', 'month', NULL)
) AS metrics(metric, parent, kind, period, target);

-- 9 of 125 is exactly a tenth below 0.08.
CREATE TABLE mart_metric__daily AS
WITH cells AS (
    SELECT i, (DATE '2026-01-01' + to_months(i::INTEGER))::DATE AS period_start, dimension, segment, size * (i + 1) AS size
    FROM range(3) AS months(i),
        (VALUES ('all', 'all', 2), ('channel', 'direct', 1), ('channel', 'email', 1)) AS parts(dimension, segment, size)
),
figures AS (
    SELECT period_start, dimension, segment, i < 2 OR metric <> 'time_to_value' AS is_complete, metric, numerator, denominator
    FROM cells, LATERAL (VALUES
        ('visitors', 125 * size, NULL), ('signups', 9 * size, NULL), ('visit_to_signup', 9 * size, 125 * size),
        ('paying_accounts', 60 * size, NULL), ('mapu', 45 * size, NULL), ('core_use_rate', 45 * size, 60 * size),
        ('time_to_value', NULL, size), ('visitors_growth', 125 * size / (i + 1), 125 * size * i / (i + 1)),
        ('nps', -7 * size, 12 * size)
    ) AS metrics(metric, numerator, denominator)
    WHERE CASE metric WHEN 'visitors_growth' THEN i > 0 WHEN 'nps' THEN i = 0 ELSE true END
),
valued AS (
    SELECT figures.*, period, direction, CASE kind WHEN 'count' THEN numerator WHEN 'median' THEN 3.5 + month(period_start)
        ELSE if(kind = 'score', 100, 1) * numerator / denominator END AS value,
        if(kind = 'count' AND dimension <> 'all', NULL, target) AS aim,
        if(direction = 'at_least', aim - value, value - aim) AS missed
    FROM figures JOIN mart_metric_tree__current USING (metric)
)
SELECT metric, period, period_start, dimension, segment, value::DOUBLE AS value, numerator::DOUBLE AS numerator,
    denominator::DOUBLE AS denominator, aim::DOUBLE AS target, direction,
    CASE WHEN NOT is_complete THEN 'grey' WHEN missed <= 0 THEN 'green' WHEN missed <= abs(aim) / 10 + 1e-9 THEN 'amber'
        WHEN missed > 0 THEN 'red' END AS status,
    (lag(value) OVER periods)::DOUBLE AS previous_value,
    ((value - lag(value) OVER periods) / nullif(abs(lag(value) OVER periods), 0))::DOUBLE AS change_rate, is_complete
FROM valued WINDOW periods AS (PARTITION BY metric, dimension, segment ORDER BY period_start);
"""

# Of a mean value for each horizon, with its interval.
_PREDICTIONS = ", ".join(
    f"if(is_predicted, {10 * horizon + shift}, NULL)::DECIMAL(18, 4) AS predicted_ltv_{horizon}m{part}"
    for horizon in (12, 24, 36)
    for part, shift in (("", 0), ("_p10", -5), ("_p90", 5))
)
_PUBLICATION_SQL = """
CREATE OR REPLACE TABLE _publication AS SELECT 'r-0001' AS release_id, DATE '{through}' AS data_through,
    TIMESTAMP '2026-04-01 02:00:00' AS published_at, '0.1.0' AS code_version, NULL::VARCHAR AS model_version,
    [{listed}]::STRUCT(mart VARCHAR, row_count BIGINT)[] AS marts;
"""


# What the manifests of the lake count of the same: 45 arrival days.
ARRIVED = {source: SourceCounts(landed=4500, accepted=4365, quarantined=135) for source in ("events", "users")}


def build_candidate(path: Path, *, days: int = 45, persons: int = 900, countries: int = 2) -> Path:
    """Write a candidate of all marts."""
    with duckdb.connect(str(path)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(
            _MARTS_SQL.format(through=THROUGH, days=days, persons=persons, countries=countries, predictions=_PREDICTIONS)
        )
        _publish(connection)
    return path


def _publish(connection: duckdb.DuckDBPyConnection) -> None:
    stored = connection.execute(
        "SELECT table_name FROM duckdb_tables() WHERE NOT temporary AND database_name = current_database()"
        " AND table_name <> '_publication' ORDER BY ALL"
    ).fetchall()
    counts = {mart: connection.execute(f"SELECT count(*) FROM {mart}").fetchone()[0] for (mart,) in stored}
    listed = ", ".join(f"{{'mart': '{mart}', 'row_count': {count}}}" for mart, count in counts.items())
    connection.execute(_PUBLICATION_SQL.format(through=THROUGH, listed=listed))


@pytest.fixture(scope="session")
def sound_candidate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a candidate of all marts that nothing is wrong with; not to be written to."""
    return build_candidate(tmp_path_factory.mktemp("candidate") / "marts.duckdb")


@pytest.fixture(scope="session")
def sound_mart(sound_candidate: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Give a function that makes a sound candidate of one mart, once for all tests; not to be written to."""
    folder = tmp_path_factory.mktemp("candidates")

    @cache
    def build(mart: str) -> Path:
        path = folder / f"{mart}.duckdb"
        with duckdb.connect(str(path)) as connection:
            connection.execute(f"ATTACH '{sound_candidate}' AS sound (READ_ONLY)")
            for other in _TOGETHER if mart in _TOGETHER else (mart,):
                connection.execute(f"CREATE TABLE {other} AS FROM sound.{other}")
            connection.execute("DETACH sound")
            _publish(connection)
        return path

    return build


@pytest.fixture(scope="session")
def _corrupting() -> Iterator[duckdb.DuckDBPyConnection]:
    """A database to attach candidates to: to open each as one of its own takes 15 ms."""
    with duckdb.connect() as connection:
        yield connection


@pytest.fixture
def corrupt(
    sound_candidate: Path, sound_mart: Callable[[str], Path], tmp_path: Path, _corrupting: duckdb.DuckDBPyConnection
) -> Callable[..., Path]:
    """Give a function that makes a candidate of one mart, or of all, after SQL that corrupts it.

    `before` runs as if the build had made the mart so: the release's own row counts follow it. `after` runs when they stand.
    """

    def build(mart: str | None = None, *, before: str = "", after: str = "") -> Path:
        path = tmp_path / "marts.duckdb"
        shutil.copy(sound_candidate if mart is None else sound_mart(mart), path)
        if before or after:
            _corrupting.execute(f"ATTACH '{path}' AS candidate; USE candidate")
            try:
                if before:
                    _corrupting.execute(before)
                    _publish(_corrupting)
                _corrupting.execute(after)
            finally:
                _corrupting.execute("USE memory; DETACH candidate")
        return path

    return build


@pytest.fixture(scope="session")
def context() -> Context:
    """Describe a first release."""
    return Context(data_through=THROUGH, as_of=THROUGH, is_first_release=True, arrived=ARRIVED)
