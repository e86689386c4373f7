"""The gate passes a sound candidate and refuses a corrupted one by the check that names the fault."""

import dataclasses
import json
import logging
import os
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from expectations import gate, page, registry
from expectations.checks import Context, Expectation, Late, PreviousColumn, Query, Waiver
from expectations.corruptions import corruptions
from expectations.gate import CandidateError, CheckResult, GateReport, MartReport
from expectations.suites import (
    customer,
    engagement,
    funnel,
    lifetime_value,
    metrics,
    publication,
    quality,
    releases,
    retention,
    revenue,
)
from orchestration.marts import MartSpec
from tests.specs import SPECS

THROUGH = date(2026, 3, 31)
FUNNEL, RETENTION, LTV, QUALITY, ENGAGEMENT, EXITS, OPPORTUNITIES, MRR, CAC, HEALTH, CHURN, METRICS, TREE, WORTH, LEDGER = (
    MARTS
) = (
    funnel.MART,
    retention.MART,
    lifetime_value.LTV_COHORT,
    quality.DAILY,
    engagement.DAILY,
    funnel.EXITS,
    funnel.OPPORTUNITIES,
    revenue.MRR_MONTH,
    revenue.LTV_CAC,
    customer.HEALTH,
    customer.CHURN,
    metrics.DAILY,
    metrics.TREE,
    lifetime_value.LTV_CUSTOMER,
    releases.RESTATEMENTS,
)


def validate(candidate: Path, marts: Sequence[str], context: Context, waivers: Sequence[Waiver] = ()) -> GateReport:
    """Ask the gate about marts as dbt declares them, by name."""
    return gate.validate(candidate, [SPECS.get(mart, MartSpec(mart, ())) for mart in marts], context, waivers)


def refused_by(report: GateReport) -> set[str]:
    return {check.qualified_name for check in report.checks if check.refuses}


def one(report: GateReport, name: str) -> CheckResult:
    [check] = [check for check in report.checks if check.qualified_name == name]
    return check


@pytest.fixture(scope="session")
def sound_report(sound_candidate: Path, context: Context) -> GateReport:
    return validate(sound_candidate, MARTS, context)


def test_a_sound_candidate_passes_every_check(sound_report: GateReport) -> None:
    assert [check.qualified_name for check in sound_report.checks if check.status != "passed"] == []
    assert sound_report.passed
    assert sound_report.release_id == "r-0001"
    assert [mart.mart for mart in sound_report.marts] == [*MARTS, "_publication"]
    assert all(mart.declared == mart.evaluated == len(mart.checks) for mart in sound_report.marts)


def test_every_suite_holds_expectations_and_queries(sound_report: GateReport) -> None:
    for mart in MARTS:
        kinds = {check.kind for check in sound_report.checks if check.mart == mart}
        assert {
            "query",
            "ExpectTableRowCountToBeBetween",
            "ExpectTableColumnsToMatchOrderedList",
            "ExpectColumnValuesToNotBeNull",
            "ExpectColumnValuesToBeInSet",
            "ExpectColumnValuesToBeUnique" if mart == TREE else "ExpectCompoundColumnsToBeUnique",
        } <= kinds
        # Metrics are of any unit and sign.
        assert mart in (METRICS, TREE) or "ExpectColumnValuesToBeBetween" in kinds


# mart, what the build did wrong, the check that refuses it
CORRUPTIONS = [
    (FUNNEL, "UPDATE {mart} SET step = NULL", "step.not_null"),
    (FUNNEL, "UPDATE {mart} SET conversion_rate = NULL", "conversion_rate.matches"),
    (FUNNEL, "UPDATE {mart} SET median_seconds_from_previous = NULL", "median_seconds_from_previous.null_where_untimed"),
    (FUNNEL, "DELETE FROM {mart} WHERE segment = 'email' AND entry_grain = 'day'", "person_count.segments_add_up"),
    (FUNNEL, "DELETE FROM {mart} WHERE dimension = 'device' AND entry_start = DATE '2026-03-20'", "person_count.segments_add_up"),
    (FUNNEL, "DELETE FROM {mart} WHERE dimension = 'all' AND entry_grain = 'week'", "segment.all_present"),
    (FUNNEL, "UPDATE {mart} SET person_count = person_count * 100 WHERE step_number = 2", "person_count.never_rises"),
    (FUNNEL, "UPDATE {mart} SET entrant_count = entrant_count * 100", "entrant_count.matches"),
    # A step of which it is unknown who reached it is followed by none of which it is known.
    (FUNNEL, "UPDATE {mart} SET person_count = NULL WHERE step_number = 1", "person_count.never_rises"),
    (FUNNEL, "UPDATE {mart} SET previous_count = person_count", "previous_count.matches"),
    (FUNNEL, "UPDATE {mart} SET conversion_rate = conversion_rate * 100", "conversion_rate.range"),
    (FUNNEL, "UPDATE {mart} SET overall_rate = overall_rate + 1e-6", "overall_rate.matches"),
    (FUNNEL, "UPDATE {mart} SET drop_off_rate = conversion_rate", "drop_off_rate.matches"),
    (FUNNEL, "UPDATE {mart} SET step_number = step_number + 1 WHERE step_number = 3", "step_number.contiguous"),
    (FUNNEL, "UPDATE {mart} SET entry_grain = 'quarter' WHERE entry_grain = 'week'", "entry_grain.known"),
    (FUNNEL, "UPDATE {mart} SET entry_start = entry_start + 1 WHERE entry_grain = 'month'", "entry_start.aligned"),
    (FUNNEL, "UPDATE {mart} SET is_mature = NOT is_mature WHERE entry_grain = 'day'", "is_mature.recedes"),
    (FUNNEL, "UPDATE {mart} SET is_mature = NOT is_mature WHERE step_number = 3", "is_mature.constant"),
    (FUNNEL, "UPDATE {mart} SET p90_seconds_from_previous = 0", "seconds.ordered"),
    (FUNNEL, "UPDATE {mart} SET average_seconds_from_previous = -1 WHERE step_number > 1", "average_seconds_from_previous.range"),
    (FUNNEL, "ALTER TABLE {mart} ALTER person_count TYPE INTEGER", "types"),
    (FUNNEL, "ALTER TABLE {mart} ADD COLUMN extra INTEGER", "columns"),
    (RETENTION, "UPDATE {mart} SET retained_count = NULL", "retained_count.null_where_immature"),
    (RETENTION, "UPDATE {mart} SET retained_count = NULL, retention_rate = NULL, is_mature = false", "is_mature.matches"),
    (RETENTION, "UPDATE {mart} SET cohort_count = NULL", "cohort_count.not_null"),
    (RETENTION, "UPDATE {mart} SET retention_rate = coalesce(retention_rate, 0)", "retention_rate.null_where_immature"),
    (RETENTION, "DELETE FROM {mart} WHERE segment = 'mobile'", "cohort_count.segments_add_up"),
    (
        RETENTION,
        "UPDATE {mart} SET retained_count = 0, retention_rate = 0 WHERE is_mature AND dimension = 'all'",
        "retained_count.segments_add_up",
    ),
    (RETENTION, "UPDATE {mart} SET retained_count = retained_count * 100", "retained_count.within_cohort"),
    (RETENTION, "UPDATE {mart} SET retention_rate = retention_rate * 100", "retention_rate.range"),
    (RETENTION, "UPDATE {mart} SET retention_rate = retention_rate / 100", "retention_rate.matches"),
    (
        RETENTION,
        "UPDATE {mart} SET retained_count = cohort_count WHERE period_index = 5 AND is_mature",
        "retained_count.never_rises",
    ),
    (RETENTION, "UPDATE {mart} SET cohort_count = cohort_count + 1 WHERE period_index = 1", "cohort_count.constant"),
    (RETENTION, "UPDATE {mart} SET period_index = 2 WHERE rule = 'bracket' AND period_index = 1", "rule.bracket_days"),
    (RETENTION, "UPDATE {mart} SET cohort_start = cohort_start + 60", "cohort_start.not_in_future"),
    (RETENTION, "UPDATE {mart} SET cohort_event = cohort_grain, cohort_grain = cohort_event", "cohort_event.known"),
    (RETENTION, "ALTER TABLE {mart} ALTER retention_rate TYPE VARCHAR", "types"),
    (LTV, "UPDATE {mart} SET revenue = NULL", "revenue.null_where_immature"),
    (LTV, "UPDATE {mart} SET customer_count = NULL", "customer_count.not_null"),
    (LTV, "DELETE FROM {mart} WHERE segment = 'c1'", "customer_count.segments_add_up"),
    (LTV, "DELETE FROM {mart} WHERE dimension = 'channel' AND cohort_month = DATE '2026-02-01'", "revenue.segments_add_up"),
    (LTV, "UPDATE {mart} SET revenue = revenue * 100 WHERE dimension = 'all'", "revenue.segments_add_up"),
    (LTV, "UPDATE {mart} SET margin = margin * 100", "margin.within_revenue"),
    (LTV, "UPDATE {mart} SET revenue = margin, margin = revenue", "margin.within_revenue"),
    (
        LTV,
        "UPDATE {mart} SET cumulative_margin_per_customer = cumulative_margin_per_customer * 100",
        "cumulative_margin_per_customer.matches",
    ),
    (LTV, "UPDATE {mart} SET revenue = -revenue, margin = -margin", "revenue.not_negative"),
    (LTV, "UPDATE {mart} SET customer_count = -customer_count", "customer_count.range"),
    (LTV, "UPDATE {mart} SET customer_count = customer_count + 1 WHERE age_months = 1", "customer_count.constant"),
    (LTV, "UPDATE {mart} SET cohort_month = cohort_month + 14", "cohort_month.aligned"),
    (LTV, "UPDATE {mart} SET is_mature = true", "is_mature.matches"),
    (LTV, "ALTER TABLE {mart} ALTER revenue TYPE DOUBLE", "types"),
    (LTV, "UPDATE {mart} SET method = 'guess'", "method.known"),
    (LTV, "UPDATE {mart} SET method = NULL", "method.not_null"),
    (LTV, "UPDATE {mart} SET predicted_ltv_24m = NULL", "method.matches"),
    (LTV, "UPDATE {mart} SET method = 'none: no stable fit'", "method.matches"),
    (LTV, "UPDATE {mart} SET predicted_ltv_36m = 9 WHERE age_months = 1", "method.constant"),
    (LTV, "UPDATE {mart} SET predicted_ltv_12m = predicted_ltv_12m_p90 + 1", "predicted_ltv_12m.within_interval"),
    (WORTH, "UPDATE {mart} SET person_id = NULL", "person_id.not_null"),
    (WORTH, "UPDATE {mart} SET as_of_date = as_of_date - 1", "as_of_date.current"),
    (WORTH, "UPDATE {mart} SET method = 'sbg'", "method.known"),
    (WORTH, "UPDATE {mart} SET p_alive = NULL", "method.matches"),
    (WORTH, "UPDATE {mart} SET p_alive = 100 * p_alive", "p_alive.range"),
    (WORTH, "UPDATE {mart} SET order_count = 0", "order_count.range"),
    (WORTH, "UPDATE {mart} SET frequency = order_count", "frequency.possible"),
    (WORTH, "UPDATE {mart} SET recency_days = age_days + 1", "frequency.possible"),
    (WORTH, "UPDATE {mart} SET expected_orders_90d = 2", "expected_orders.possible"),
    (WORTH, "UPDATE {mart} SET expected_order_value = -1", "expected_order_value.range"),
    (WORTH, "ALTER TABLE {mart} ALTER predicted_ltv_36m TYPE DOUBLE", "types"),
    (QUALITY, "DELETE FROM {mart} WHERE date = DATE '2026-03-01'", "landed.reconciles_with_lake"),
    (QUALITY, "DELETE FROM {mart} WHERE source = 'users'", "accepted.reconciles_with_lake"),
    (QUALITY, "UPDATE {mart} SET source = 'orders' WHERE source = 'users'", "quarantined.reconciles_with_lake"),
    (QUALITY, "UPDATE {mart} SET accepted_count = NULL", "accepted_count.not_null"),
    (QUALITY, "UPDATE {mart} SET accepted_count = 89, fact_difference = 1", "landed_count.accounted_for"),
    (QUALITY, "UPDATE {mart} SET accepted_count = 89, fact_difference = 1", "fact_difference.zero"),
    (QUALITY, "UPDATE {mart} SET landing_difference = -1", "landing_difference.zero"),
    (
        QUALITY,
        "UPDATE {mart} SET accepted_count = 7, duplicate_count = 90, repeat_count = 90 - conflict_count",
        "accepted_rate.matches",
    ),
    (QUALITY, "UPDATE {mart} SET conflict_count = conflict_count + 1", "duplicate_count.told_apart"),
    (QUALITY, "UPDATE {mart} SET late_count = 98", "late_count.within_lake"),
    (QUALITY, "UPDATE {mart} SET bot_count = 90", "left_out.within_accepted"),
    (QUALITY, "UPDATE {mart} SET arrival_delay_days_p50 = 3", "arrival_delay.ordered"),
    (QUALITY, "UPDATE {mart} SET date = date + 1", "date.not_in_future"),
    (QUALITY, "UPDATE {mart} SET bot_count = -1", "bot_count.range"),
    (ENGAGEMENT, "UPDATE {mart} SET dormant_count = NULL", "dormant_count.not_null"),
    (ENGAGEMENT, "UPDATE {mart} SET dimension = 'colour' WHERE dimension = 'device'", "dimension.known"),
    (ENGAGEMENT, "DELETE FROM {mart} WHERE date = DATE '2026-03-10'", "date.contiguous"),
    (ENGAGEMENT, "DELETE FROM {mart} WHERE date = DATE '2026-03-31'", "date.contiguous"),
    (ENGAGEMENT, "UPDATE {mart} SET date = date + 1", "date.not_in_future"),
    (ENGAGEMENT, "UPDATE {mart} SET new_count = new_count + 1", "active_count.movements"),
    (ENGAGEMENT, "UPDATE {mart} SET dormant_count = 0", "dormant_count.closes"),
    (ENGAGEMENT, "UPDATE {mart} SET wau = active_count", "wau.within_days"),
    (ENGAGEMENT, "UPDATE {mart} SET wau = mau", "wau.within_days"),
    (ENGAGEMENT, "UPDATE {mart} SET mau = wau * 30", "mau.within_days"),
    (ENGAGEMENT, "UPDATE {mart} SET wau = mau + 1", "wau.within_month"),
    (ENGAGEMENT, "UPDATE {mart} SET mau = mau + 100", "mau.known"),
    (ENGAGEMENT, "UPDATE {mart} SET stickiness_rate = active_count / wau", "stickiness_rate.matches"),
    (ENGAGEMENT, "UPDATE {mart} SET stickiness_rate = 2", "stickiness_rate.range"),
    (ENGAGEMENT, "UPDATE {mart} SET core_feature_user_count = 1000", "core_feature_user_count.within_active"),
    (ENGAGEMENT, "UPDATE {mart} SET session_count = 0", "session_minutes_avg.null_where_nobody"),
    (ENGAGEMENT, "UPDATE {mart} SET session_minutes_median = NULL", "session_minutes_median.null_where_nobody"),
    (ENGAGEMENT, "UPDATE {mart} SET features_used_avg = NULL WHERE dimension = 'all'", "features_used_avg.null_where_nobody"),
    (ENGAGEMENT, "UPDATE {mart} SET features_used_avg = -1", "features_used_avg.range"),
    (ENGAGEMENT, "UPDATE {mart} SET streak_days_avg = 0.5", "streak_days_avg.range"),
    (ENGAGEMENT, "UPDATE {mart} SET streak_days_avg = 46", "streak_days_avg.within_days"),
    (ENGAGEMENT, "UPDATE {mart} SET session_count = session_count + 1 WHERE dimension = 'all'", "session_count.segments_add_up"),
    (ENGAGEMENT, "UPDATE {mart} SET wau = wau + 1 WHERE segment = 'mobile'", "wau.segments_add_up"),
    (ENGAGEMENT, "DELETE FROM {mart} WHERE dimension = 'all'", "segment.all_present"),
    (ENGAGEMENT, "ALTER TABLE {mart} ALTER mau TYPE HUGEINT", "types"),
    (EXITS, "UPDATE {mart} SET exit_page = NULL", "exit_page.not_null"),
    (EXITS, "UPDATE {mart} SET share_rate = share_rate / 2", "share_rate.matches"),
    (EXITS, "UPDATE {mart} SET exit_rank = 6 - exit_rank", "exit_rank.matches"),
    (EXITS, "UPDATE {mart} SET exit_rank = exit_rank + 1", "exit_rank.known"),
    (EXITS, "UPDATE {mart} SET stopped_count = stopped_count + exit_rank", "stopped_count.constant"),
    (EXITS, "UPDATE {mart} SET stopped_count = exit_count", "exit_count.adds_up"),
    (EXITS, "DELETE FROM {mart} WHERE exit_rank = 2", "exit_count.adds_up"),
    (EXITS, "UPDATE {mart} SET exit_count = 0 WHERE exit_rank = 3", "exit_count.range"),
    (EXITS, "UPDATE {mart} SET step_number = 12", "step_number.range"),
    (EXITS, "UPDATE {mart} SET week = week + 1 WHERE week = DATE '2026-03-09'", "week.aligned"),
    (EXITS, "UPDATE {mart} SET is_mature = NOT is_mature", "is_mature.recedes"),
    (EXITS, "UPDATE {mart} SET is_mature = true", "is_mature.over"),
    (OPPORTUNITIES, "UPDATE {mart} SET step = NULL", "step.not_null"),
    (OPPORTUNITIES, "UPDATE {mart} SET potential_impact = 'huge' WHERE opportunity_rank = 1", "potential_impact.known"),
    (OPPORTUNITIES, "DELETE FROM {mart} WHERE step_number = 2", "step_number.contiguous"),
    (OPPORTUNITIES, "UPDATE {mart} SET entrant_count = entrant_count + 1 WHERE step_number = 3", "entrant_count.continued"),
    (OPPORTUNITIES, "UPDATE {mart} SET entrant_count = NULL", "entrant_count.null_without_days"),
    (OPPORTUNITIES, "UPDATE {mart} SET lost_person_count = -1", "lost_person_count.range"),
    (OPPORTUNITIES, "UPDATE {mart} SET drop_off_rate = 1 - drop_off_rate", "drop_off_rate.matches"),
    (OPPORTUNITIES, "UPDATE {mart} SET first_entry_date = first_entry_date - 1", "first_entry_date.period"),
    (
        OPPORTUNITIES,
        "UPDATE {mart} SET first_entry_date = first_entry_date + 7, last_entry_date = '2026-03-31'",
        "first_entry_date.period",
    ),
    (OPPORTUNITIES, "UPDATE {mart} SET potential_impact = 'high' WHERE opportunity_rank = 1", "potential_impact.matches"),
    (OPPORTUNITIES, "UPDATE {mart} SET potential_impact = coalesce(potential_impact, 'medium')", "potential_impact.matches"),
    (OPPORTUNITIES, "UPDATE {mart} SET opportunity_rank = 2 WHERE opportunity_rank = 1", "opportunity_rank.matches"),
    (OPPORTUNITIES, "UPDATE {mart} SET suggested_experiment = NULL", "opportunity.complete"),
    (MRR, "UPDATE {mart} SET churned_mrr = NULL", "churned_mrr.not_null"),
    (MRR, "UPDATE {mart} SET dimension = 'colour' WHERE dimension = 'plan'", "dimension.known"),
    (MRR, "UPDATE {mart} SET contraction_mrr = -contraction_mrr", "contraction_mrr.range"),
    (MRR, "UPDATE {mart} SET grr_rate = grr_rate + 1", "grr_rate.range"),
    (MRR, "DELETE FROM {mart} WHERE segment = 'c1'", "opening_account_count.segments_add_up"),
    (MRR, "DELETE FROM {mart} WHERE dimension = 'channel' AND month = DATE '2026-02-01'", "expansion_mrr.segments_add_up"),
    (MRR, "UPDATE {mart} SET closing_mrr = closing_mrr + 0.01 WHERE dimension = 'all'", "closing_mrr.segments_add_up"),
    (MRR, "DELETE FROM {mart} WHERE dimension = 'all' AND month = DATE '2026-03-01'", "segment.all_present"),
    (MRR, "UPDATE {mart} SET month = month + 14", "month.aligned"),
    (MRR, "UPDATE {mart} SET month = (month + INTERVAL 1 MONTH)::DATE", "month.not_in_future"),
    (MRR, "DELETE FROM {mart} WHERE month = DATE '2026-02-01'", "month.contiguous"),
    (MRR, "UPDATE {mart} SET closing_mrr = closing_mrr + 0.01", "closing_mrr.bridged"),
    (MRR, "UPDATE {mart} SET new_account_count = new_account_count + 1", "closing_account_count.bridged"),
    (
        MRR,
        "UPDATE {mart} SET opening_mrr = opening_mrr + 1, closing_mrr = closing_mrr + 1 WHERE opening_mrr > 0",
        "opening_mrr.continued",
    ),
    (MRR, "UPDATE {mart} SET transferred_mrr = 5, closing_mrr = closing_mrr + 5", "transferred_mrr.zero_for_all"),
    (MRR, "UPDATE {mart} SET reactivation_account_count = 0", "reactivation_mrr.has_accounts"),
    (MRR, "UPDATE {mart} SET nrr_rate = nrr_rate + 1e-6", "nrr_rate.matches"),
    (MRR, "UPDATE {mart} SET grr_rate = nrr_rate", "grr_rate.matches"),
    (MRR, "UPDATE {mart} SET logo_churn_rate = coalesce(logo_churn_rate, 0)", "logo_churn_rate.matches"),
    (MRR, "UPDATE {mart} SET quick_ratio = NULL", "quick_ratio.matches"),
    (MRR, "UPDATE {mart} SET arpa = coalesce(closing_mrr / nullif(opening_account_count, 0), 0)", "arpa.matches"),
    (MRR, "UPDATE {mart} SET is_complete = false", "is_complete.matches"),
    (MRR, "ALTER TABLE {mart} ALTER closing_mrr TYPE DOUBLE", "types"),
    (CAC, "UPDATE {mart} SET revenue = NULL", "revenue.null_where_unknown"),
    (CAC, "UPDATE {mart} SET channel = 'podcast' WHERE channel = 'email'", "channel.known"),
    (CAC, "UPDATE {mart} SET spend = -spend", "spend.range"),
    (CAC, "UPDATE {mart} SET month = month + 14", "month.aligned"),
    (CAC, "UPDATE {mart} SET month = (month + INTERVAL 1 MONTH)::DATE", "month.not_in_future"),
    (CAC, "DELETE FROM {mart} WHERE channel = 'all'", "channel.all_present"),
    (CAC, "DELETE FROM {mart} WHERE channel <> 'all' AND month = DATE '2026-03-01'", "channel.all_present"),
    (CAC, "DELETE FROM {mart} WHERE channel = 'email'", "spend.channels_add_up"),
    (CAC, "UPDATE {mart} SET margin = margin + 0.01 WHERE channel = 'all'", "margin.channels_add_up"),
    (CAC, "UPDATE {mart} SET clicks = NULL WHERE channel = 'all'", "clicks.channels_add_up"),
    (CAC, "UPDATE {mart} SET paid_customer_count = new_customer_count", "paid_customer_count.matches"),
    (CAC, "UPDATE {mart} SET paid_cac = paid_cac * 100", "paid_cac.matches"),
    (CAC, "UPDATE {mart} SET paid_cac = coalesce(paid_cac, 0)", "paid_cac.matches"),
    (CAC, "UPDATE {mart} SET blended_cac = paid_cac", "blended_cac.matches"),
    (CAC, "UPDATE {mart} SET roas = roas / 100", "roas.matches"),
    (CAC, "UPDATE {mart} SET marketing_roi = roas", "marketing_roi.matches"),
    (CAC, "UPDATE {mart} SET signup_share_rate = 1", "signup_share_rate.matches"),
    (CAC, "UPDATE {mart} SET ltv_to_cac = 1 / ltv_to_cac", "ltv_to_cac.matches"),
    (CAC, "UPDATE {mart} SET ltv_to_cac = coalesce(ltv_to_cac, 0)", "ltv_to_cac.matches"),
    (CAC, "UPDATE {mart} SET is_review_triggered = NOT is_review_triggered", "is_review_triggered.matches"),
    (CAC, "UPDATE {mart} SET new_customer_count = 0", "ltv_predicted.of_customers"),
    (CAC, "UPDATE {mart} SET payback_months = 1 WHERE month = DATE '2026-03-01'", "payback_months.possible"),
    (CAC, "UPDATE {mart} SET payback_months = 0 WHERE channel = 'direct'", "payback_months.possible"),
    (CAC, "UPDATE {mart} SET revenue = margin, margin = revenue", "margin.within_revenue"),
    (CAC, "UPDATE {mart} SET is_complete = false", "is_complete.matches"),
    (CAC, "ALTER TABLE {mart} ALTER spend TYPE DOUBLE", "types"),
    (HEALTH, "UPDATE {mart} SET account_id = NULL", "account_id.not_null"),
    (HEALTH, "UPDATE {mart} SET lifecycle_stage = 'retired' WHERE light = 'red'", "lifecycle_stage.known"),
    (HEALTH, "UPDATE {mart} SET product_usage_score = product_usage_score * 100", "product_usage_score.range"),
    (HEALTH, "UPDATE {mart} SET health_score = health_score + 1e-5", "health_score.matches"),
    (HEALTH, "UPDATE {mart} SET health_score = product_usage_score", "health_score.matches"),
    (HEALTH, "UPDATE {mart} SET account_growth_score = coalesce(account_growth_score, 0)", "health_score.matches"),
    (HEALTH, "UPDATE {mart} SET light = 'green' WHERE light = 'amber'", "light.matches"),
    (HEALTH, "UPDATE {mart} SET missing_components = NULL", "missing_components.matches"),
    (HEALTH, "UPDATE {mart} SET risk_factors = 'product_usage'", "risk_factors.matches"),
    (HEALTH, "UPDATE {mart} SET improvement_opportunities = NULL", "improvement_opportunities.matches"),
    (HEALTH, "UPDATE {mart} SET trend_30d = coalesce(trend_30d, 0)", "trend_30d.matches"),
    (HEALTH, "UPDATE {mart} SET trend_30d = NULL", "trend_30d.matches"),
    (HEALTH, "DELETE FROM {mart} WHERE as_of_date = DATE '2026-03-31'", "as_of_date.current"),
    (HEALTH, "UPDATE {mart} SET as_of_date = as_of_date - 1 WHERE as_of_date = DATE '2026-03-29'", "as_of_date.grid"),
    (HEALTH, "ALTER TABLE {mart} ALTER health_score TYPE FLOAT", "types"),
    (CHURN, "UPDATE {mart} SET mrr = NULL", "mrr.not_null"),
    (CHURN, "UPDATE {mart} SET churn_probability = churn_probability * 100", "churn_probability.range"),
    (CHURN, "UPDATE {mart} SET risk_level = 'unknown' WHERE risk_level = 'low'", "risk_level.known"),
    (CHURN, "UPDATE {mart} SET usage_decline = 20", "usage_decline.range"),
    (CHURN, "UPDATE {mart} SET as_of_date = as_of_date - 1", "as_of_date.scored"),
    (CHURN, "UPDATE {mart} SET risk_level = 'high' WHERE account_id = 'a0'", "risk_level.ordered"),
    (CHURN, "UPDATE {mart} SET key_indicators = '+weather' WHERE key_indicators IS NOT NULL", "key_indicators.known"),
    (CHURN, "UPDATE {mart} SET recommended_actions = NULL", "recommended_actions.present"),
    (CHURN, "UPDATE {mart} SET recommended_actions = 'Call them'", "recommended_actions.present"),
    (CHURN, "UPDATE {mart} SET mrr_at_risk = mrr", "mrr_at_risk.matches"),
    (CHURN, "UPDATE {mart} SET intervention_priority = intervention_priority + 1", "intervention_priority.ranks"),
    (CHURN, "UPDATE {mart} SET intervention_priority = 101 - intervention_priority", "intervention_priority.ranks"),
    (CHURN, "UPDATE {mart} SET model_version = 'm2' WHERE account_id = 'a0'", "model_version.one"),
    (CHURN, "ALTER TABLE {mart} ALTER mrr TYPE DOUBLE", "types"),
    (METRICS, "UPDATE {mart} SET is_complete = NULL", "is_complete.not_null"),
    (METRICS, "UPDATE {mart} SET dimension = 'colour' WHERE dimension = 'channel'", "dimension.known"),
    (METRICS, "UPDATE {mart} SET period = 'year' WHERE period = 'quarter'", "period.known"),
    (METRICS, "UPDATE {mart} SET status = 'yellow' WHERE status = 'amber'", "status.known"),
    (METRICS, "UPDATE {mart} SET direction = 'at_best'", "direction.known"),
    (METRICS, "UPDATE {mart} SET period_start = period_start + 14 WHERE period = 'month'", "period_start.aligned"),
    (METRICS, "UPDATE {mart} SET period_start = DATE '2026-02-01' WHERE period = 'quarter'", "period_start.aligned"),
    (METRICS, "UPDATE {mart} SET period_start = (period_start + INTERVAL 3 MONTH)::DATE", "period_start.not_in_future"),
    (METRICS, "UPDATE {mart} SET value = value * 100 WHERE metric = 'core_use_rate'", "value.matches"),
    (METRICS, "UPDATE {mart} SET value = value / 100 WHERE metric = 'nps'", "value.matches"),
    (METRICS, "UPDATE {mart} SET value = NULL WHERE metric = 'time_to_value'", "value.matches"),
    (METRICS, "UPDATE {mart} SET denominator = 1 WHERE metric = 'visitors'", "value.matches"),
    (METRICS, "UPDATE {mart} SET denominator = NULL WHERE metric = 'visitors_growth'", "value.matches"),
    (METRICS, "UPDATE {mart} SET status = 'green' WHERE metric = 'visit_to_signup'", "status.matches"),
    (METRICS, "UPDATE {mart} SET status = 'red' WHERE status = 'green'", "status.matches"),
    (METRICS, "UPDATE {mart} SET status = 'amber' WHERE status = 'red'", "status.matches"),
    (METRICS, "UPDATE {mart} SET status = 'red' WHERE metric = 'nps'", "status.matches"),
    (METRICS, "UPDATE {mart} SET status = NULL WHERE status = 'red'", "status.matches"),
    (METRICS, "UPDATE {mart} SET status = 'green' WHERE target IS NULL", "status.matches"),
    (METRICS, "UPDATE {mart} SET is_complete = true", "status.matches"),
    (METRICS, "UPDATE {mart} SET previous_value = value, change_rate = 0", "previous_value.matches"),
    (METRICS, "UPDATE {mart} SET change_rate = coalesce(change_rate, 0)", "change_rate.matches"),
    (METRICS, "UPDATE {mart} SET change_rate = change_rate * 100", "change_rate.matches"),
    (METRICS, "UPDATE {mart} SET value = value + 1, numerator = numerator + 1 WHERE metric = 'mapu'", "mapu.is_product"),
    (METRICS, "UPDATE {mart} SET value = value * 2, numerator = numerator * 2 WHERE metric = 'visitors'", "signups.is_product"),
    (METRICS, "ALTER TABLE {mart} ALTER value TYPE FLOAT", "types"),
    (TREE, "UPDATE {mart} SET label_zh = NULL", "label_zh.not_null"),
    (TREE, "UPDATE {mart} SET kind = 'mean' WHERE kind = 'median'", "kind.known"),
    (TREE, "UPDATE {mart} SET period = 'cohort' WHERE period = 'quarter'", "period.known"),
    (TREE, "UPDATE {mart} SET latest_status = 'grey'", "latest_status.known"),
    (TREE, "DELETE FROM {mart} WHERE metric = 'paying_accounts'", "parent.known"),
    (TREE, "UPDATE {mart} SET target = NULL WHERE metric = 'nps'", "target.directed"),
    (TREE, "UPDATE {mart} SET is_computed = true, missing_reason = NULL", "is_computed.matches"),
    (TREE, "UPDATE {mart} SET missing_reason = NULL", "is_computed.matches"),
    (TREE, "DELETE FROM mart_metric__daily WHERE metric = 'nps'", "is_computed.matches"),
    (TREE, "ALTER TABLE {mart} ALTER target TYPE DOUBLE", "types"),
    (LEDGER, "INSERT INTO {mart} FROM {mart}", "grain.unique"),
    (LEDGER, "UPDATE {mart} SET cause = 'chance', possible_causes = 'chance'", "cause.known"),
    (LEDGER, "UPDATE {mart} SET period = 'year'", "period.known"),
    (LEDGER, "UPDATE {mart} SET measure = NULL", "measure.not_null"),
    (LEDGER, "UPDATE {mart} SET value_after = value_before, change = 0, change_rate = 0", "value.moved"),
    (LEDGER, "UPDATE {mart} SET change = -change, change_rate = -change_rate", "change.matches"),
    (LEDGER, "UPDATE {mart} SET change_rate = 0 WHERE value_before IS NULL", "change_rate.matches"),
    (LEDGER, "UPDATE {mart} SET cause = 'late_facts'", "cause.first_possible"),
    (LEDGER, "UPDATE {mart} SET late_fact_count = -1", "late_fact_count.range"),
    (LEDGER, "UPDATE {mart} SET period_start = data_through + 1 WHERE period_start = '2026-03-10'", "period_start.closed"),
    (LEDGER, "UPDATE {mart} SET data_through = data_through - 396", "data_through.kept"),
    (LEDGER, "UPDATE {mart} SET previous_release_id = 'r-0' WHERE period_start = '2026-03-10'", "release_id.chained"),
    (LEDGER, "UPDATE {mart} SET previous_release_id = release_id", "release_id.chained"),
    (LEDGER, "ALTER TABLE {mart} ALTER late_fact_count TYPE INTEGER", "types"),
]


def only(monkeypatch, mart, *names):
    """Leave of a suite what is asked for: all of it takes GX half a second, and it is run by the tests of the sound candidate."""
    build = registry.SUITES[mart]
    monkeypatch.setattr(registry, "SUITES", {mart: lambda *about: [check for check in build(*about) if check.name in names]})


def alone(monkeypatch, mart, name):
    """Leave that check alone, without those of the publication, which go through GX in any case."""
    only(monkeypatch, mart, name)
    monkeypatch.setattr(publication, "publication", lambda *_: [])


@pytest.mark.parametrize(
    ("mart", "sql", "name"), CORRUPTIONS, ids=[f"{mart}-{i}-{name}" for i, (mart, _, name) in enumerate(CORRUPTIONS)]
)
def test_a_corruption_is_refused_by_the_check_that_names_it(corrupt, context, monkeypatch, mart, sql, name) -> None:
    alone(monkeypatch, mart, name)
    report = validate(corrupt(mart, before=sql.format(mart=mart)), [mart], context)
    assert one(report, f"{mart}.{name}").status == "failed"
    assert refused_by(report) == {f"{mart}.{name}"}


@pytest.fixture(scope="session")
def later(sound_candidate, context) -> Context:
    """The context of a release that follows one just like the sound candidate."""
    with duckdb.connect(str(sound_candidate), read_only=True) as connection:
        rows = {mart: connection.execute(f"SELECT count(*) FROM {mart}").fetchone()[0] for mart in MARTS}
        columns: dict[str, dict[str, PreviousColumn]] = {mart: {} for mart in MARTS}
        for mart, name, kind in connection.execute(
            "SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE starts_with(table_name, 'mart_')"
        ).fetchall():
            total = f"sum({name})" if kind in ("DECIMAL(18,2)", "DECIMAL(18,4)") else "NULL"
            columns[mart][name] = PreviousColumn(*connection.execute(f"SELECT count({name}), {total} FROM {mart}").fetchone())
    return dataclasses.replace(context, is_first_release=False, previous_row_counts=rows, previous_columns=columns)


@pytest.mark.parametrize("corruption", list(corruptions()), ids=lambda each: f"{each.mart}-{each.kind}")
def test_what_may_befall_a_mart_is_refused_by_the_check_that_the_documentation_names(
    corrupt, later, monkeypatch, corruption
) -> None:
    mart, sql = corruption.mart, corruption.sql.format(mart=corruption.mart)
    (only if corruption.is_published else alone)(monkeypatch, mart, corruption.check)
    candidate = corrupt(mart, after=sql) if corruption.is_published else corrupt(mart, before=sql)
    context = dataclasses.replace(later, unchanged=frozenset({mart})) if corruption.is_yesterday else later
    report = validate(candidate, [mart], context)
    check = one(report, f"{mart}.{corruption.check}")
    assert (check.status, check.severity) == ("failed", "critical")
    assert check.qualified_name in refused_by(report)
    if corruption.is_published:
        assert "_publication.data_through.current" in refused_by(report)
        assert (check.observed, check.expected) == ("2026-03-30", "2026-03-31")


def test_every_mart_has_at_least_six_corruptions() -> None:
    kinds = Counter(corruption.mart for corruption in corruptions())
    assert set(kinds) == set(MARTS)
    assert min(kinds.values()) >= 6


def test_a_later_release_just_like_the_last_passes(sound_candidate, later) -> None:
    report = validate(sound_candidate, MARTS, later)
    assert [check.qualified_name for check in report.checks if check.status != "passed"] == []


@pytest.mark.parametrize("mart", sorted({*MARTS} - {MRR, LTV, CAC, TREE, releases.RESTATEMENTS}))  # a quiet day leaves these
def test_a_mart_that_stays_as_it_was_refuses_or_warns(corrupt, later, monkeypatch, mart) -> None:
    only(monkeypatch, mart, "rows.renewed")
    check = one(validate(corrupt(mart), [mart], dataclasses.replace(later, unchanged=frozenset({mart}))), f"{mart}.rows.renewed")
    named = (mart, "yesterday") in {(corruption.mart, corruption.kind) for corruption in corruptions()}
    assert (check.status, check.severity) == ("failed", "critical" if named else "warning")


def test_a_mart_without_a_fact_of_the_newest_day_may_stay_as_it_was(corrupt, later, monkeypatch) -> None:
    only(monkeypatch, RETENTION, "rows.renewed")
    still = dataclasses.replace(later, unchanged=frozenset({RETENTION}), idle=frozenset({RETENTION}))
    report = validate(corrupt(RETENTION), [RETENTION], still)
    check = one(report, f"{RETENTION}.rows.renewed")
    assert (check.status, check.severity, report.passed) == ("failed", "warning", True)


def test_health_need_not_reach_a_day_on_which_nobody_pays(corrupt, context, monkeypatch) -> None:
    only(monkeypatch, HEALTH, "as_of_date.current")
    path = corrupt(HEALTH, before=f"DELETE FROM {HEALTH} WHERE as_of_date = (SELECT max(as_of_date) FROM {HEALTH})")
    assert not validate(path, [HEALTH], context).passed
    assert validate(path, [HEALTH], dataclasses.replace(context, idle=frozenset({HEALTH}))).passed


def test_an_empty_mart_is_refused_with_the_facts_that_it_lacks(corrupt, context, monkeypatch) -> None:
    only(monkeypatch, HEALTH, "row_count")
    awaited = dataclasses.replace(context, awaited={HEALTH: "12 paying or trialing subscriptions"})
    report = validate(corrupt(HEALTH, before=f"DELETE FROM {HEALTH}"), [HEALTH], awaited)
    assert not report.passed
    explanation = one(report, f"{HEALTH}.row_count").explanation
    assert "It is empty, although there are 12 paying or trialing subscriptions." in explanation


@pytest.mark.parametrize(("day_late", "passes"), [(True, True), (False, False)])
def test_a_newest_day_that_has_not_been_exported_yet_is_a_warning_with_the_remedy(
    tmp_path, context, monkeypatch, day_late, passes
) -> None:
    name = "active_count.plausible_on_newest_day"
    only(monkeypatch, ENGAGEMENT, name)
    path = tmp_path / "marts.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            f"CREATE TABLE {ENGAGEMENT} AS SELECT ?::DATE - (7 * week)::INTEGER AS date, 'all' AS dimension, 500 AS active_count"
            " FROM range(1, 9) AS weeks(week)",
            [THROUGH],
        )
    late = {"events": Late(THROUGH - timedelta(days=1), THROUGH)} if day_late else {"orders": Late(THROUGH, THROUGH)}
    report = validate(path, [ENGAGEMENT], dataclasses.replace(context, late=late))
    check = one(report, f"{ENGAGEMENT}.{name}")
    assert (check.status, check.severity) == ("failed", "warning" if passes else "critical")
    # The publication of this file is not there: of the checks of marts alone.
    assert all(not mart.passed for mart in report.marts if mart.mart == "_publication")
    assert ("If exports arrive a day late" in check.explanation) is passes


def test_only_cohorts_of_the_late_source_are_excused(tmp_path, context, monkeypatch) -> None:
    names = [f"cohort_count.{name}_on_newest_day" for name in ("plausible", "late")]
    only(monkeypatch, RETENTION, *names)
    path = tmp_path / "marts.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            f"""CREATE TABLE {RETENTION} AS SELECT ?::DATE - (7 * week)::INTEGER AS cohort_start, cohort_event,
            'exact' AS rule, 'day' AS cohort_grain, 0 AS period_index, 'all' AS dimension, 500 AS cohort_count
            FROM range(1, 9) AS weeks(week), (VALUES ('first_seen'), ('first_order')) AS events(cohort_event)""",
            [THROUGH],
        )
    late = {"events": Late(THROUGH - timedelta(days=1), THROUGH)}
    report = validate(path, [RETENTION], dataclasses.replace(context, late=late))
    found = {check.name: (check.status, check.severity, check.observed) for check in report.checks if check.mart == RETENTION}
    assert found == {
        names[0]: ("failed", "critical", "first_order 0"),
        names[1]: ("failed", "warning", "first_seen 0"),
    }


def test_a_column_that_is_null_more_often_than_before_is_told_of(corrupt, later, monkeypatch) -> None:
    only(monkeypatch, HEALTH, "nulls.none_lost", "nulls.as_before")
    some = "UPDATE {mart} SET account_growth_score = NULL WHERE hash(account_id) % 2 = 0"
    report = validate(corrupt(HEALTH, before=some.format(mart=HEALTH)), [HEALTH], later)
    check = one(report, f"{HEALTH}.nulls.as_before")
    assert (check.status, check.severity, check.observed.split()[0]) == ("failed", "warning", "account_growth_score")
    assert report.passed
    report = validate(corrupt(HEALTH, before=f"UPDATE {HEALTH} SET trend_30d = NULL"), [HEALTH], later)
    check = one(report, f"{HEALTH}.nulls.none_lost")
    assert (check.status, check.observed) == ("failed", "trend_30d 0")
    assert not report.passed


NEWEST_DAYS = [
    # active persons of the eight same weekdays before, of the newest day, what is said
    ([500, 510, 490, 505, 495, 500, 520, 480], 260, "passed", "passed"),
    ([500, 510, 490, 505, 495, 500, 520, 480], 240, "failed", "passed"),
    ([500, 510, 490, 505, 495, 500, 520, 480], 1001, "failed", "passed"),
    ([500, 510, 490, 505, 495, 500, 520, 480], 24, "failed", "failed"),
    ([500, 510, 490, 505, 495, 500, 520, 480], 50_000, "failed", "failed"),
    # Where days differ that much, so may the newest.
    ([500, 900, 250, 1200, 300, 1000, 700, 400], 1500, "passed", "passed"),
    # Failed days, without anything or almost, do not count: else half of 260 would be usual.
    ([500, 500, 500, 500, 500, 0, 3, 0], 240, "failed", "passed"),
    # Four days are enough, three are not, nor is a company of 190.
    ([500, 500, 500, 500, 0, 0, 0, 0], 10, "failed", "failed"),
    ([500, 500, 500, 0, 0, 0, 0, 0], 10, "passed", "passed"),
    ([190] * 8, 1, "passed", "passed"),
]


@pytest.mark.parametrize(("before", "newest", "usual", "plausible"), NEWEST_DAYS)
def test_the_newest_day_is_compared_with_its_weekday(tmp_path, context, monkeypatch, before, newest, usual, plausible) -> None:
    names = [f"active_count.{name}_on_newest_day" for name in ("usual", "plausible")]
    only(monkeypatch, ENGAGEMENT, *names)
    path = tmp_path / "marts.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            f"""CREATE TABLE {ENGAGEMENT} AS
            SELECT ?::DATE - (7 * week)::INTEGER AS date, 'all' AS dimension, count AS active_count
            FROM (SELECT unnest(?::BIGINT[]) AS count, unnest(range(9)) AS week)
            -- Other weekdays say nothing.
            UNION ALL SELECT ?::DATE - 1 - (7 * week)::INTEGER, 'all', 1 FROM range(9) AS weeks(week)""",
            [THROUGH, [newest, *before], THROUGH],
        )
    report = validate(path, [ENGAGEMENT], context)
    assert [one(report, f"{ENGAGEMENT}.{name}").status for name in names] == [usual, plausible]


def test_a_newest_day_that_is_not_there_is_none(tmp_path, context, monkeypatch) -> None:
    """But for what arrived: a source may come late."""
    path = tmp_path / "marts.duckdb"
    with duckdb.connect(str(path)) as connection:
        for mart, day, more in (
            (FUNNEL, "entry_start", "'shop' AS funnel, 'day' AS entry_grain, 'all' AS dimension, 1 AS step_number"),
            (QUALITY, "date", "'events' AS source"),
        ):
            connection.execute(
                f"""CREATE TABLE {mart} AS SELECT ?::DATE - (7 * week)::INTEGER AS {day}, {more}, 300 AS person_count,
                300 AS landed_count FROM range(1, 9) AS weeks(week)""",
                [THROUGH],
            )
    names = ["person_count.plausible_on_newest_day", "landed_count.usual_on_newest_day"]
    builds = {mart: registry.SUITES[mart] for mart in (FUNNEL, QUALITY)}
    monkeypatch.setattr(
        registry,
        "SUITES",
        {
            mart: lambda *about, build=build: [check for check in build(*about) if check.name in names]
            for mart, build in builds.items()
        },
    )
    report = validate(path, [FUNNEL, QUALITY], context)
    lost = one(report, f"{FUNNEL}.{names[0]}")
    assert (lost.status, lost.observed, lost.expected) == ("failed", "shop 0", "shop 15 to 6000")
    assert one(report, f"{QUALITY}.{names[1]}").status == "passed"


def waiver(check="margin.within_revenue", until=THROUGH, mart=LTV) -> Waiver:
    return Waiver(mart, check, until, "The old price list was wrong.", "revenue@example.com")


@pytest.fixture
def without_margin(corrupt, monkeypatch) -> Path:
    """A candidate in which exactly one critical check of lifetime values fails."""
    only(monkeypatch, LTV, "row_count", "margin.within_revenue", "method.any_model")
    candidate = corrupt(LTV, before=f"UPDATE {LTV} SET revenue = margin, margin = revenue")
    with duckdb.connect(str(candidate)) as connection:
        tables = connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()
    assert (LTV,) in tables
    return candidate


def test_a_waiver_lets_one_named_critical_check_through_and_the_report_says_so(without_margin, context) -> None:
    assert not validate(without_margin, [LTV], context).passed
    report = validate(without_margin, [LTV], context, [waiver()])
    check = one(report, f"{LTV}.margin.within_revenue")
    assert (check.status, check.label) == ("failed", "waived")
    assert check.waived == "until 2026-03-31 by revenue@example.com: The old price list was wrong."
    assert report.passed
    assert report.notes == ()
    assert GateReport.from_json(report.to_json()) == report
    assert any(line.strip().startswith(f"waived: {LTV}.margin") and "price list" in line for line in gate.summary_lines(report))
    html = page.render(report)
    assert '<td class="waived">waived</td>' in html
    assert "The old price list was wrong." in html


@pytest.mark.parametrize(
    ("given", "note"),
    [
        (waiver(until=THROUGH - timedelta(days=1)), "margin.within_revenue expired on 2026-03-30 and has no effect"),
        (
            waiver("margin.in_revenue"),
            "margin.in_revenue names no check of this release; did you mean mart_ltv__cohort.margin.within",
        ),
        (waiver("row_count"), "row_count has no effect: the check is passed"),
    ],
)
def test_a_waiver_that_is_expired_or_of_another_check_lets_nothing_through(without_margin, context, given, note) -> None:
    report = validate(without_margin, [LTV], context, [given])
    assert refused_by(report) == {f"{LTV}.margin.within_revenue"}
    assert len(report.notes) == 1
    assert note in report.notes[0]
    assert report.notes[0] in gate.summary_lines(report)[-1]
    assert page.render(report).count("<dt>Note</dt>") == 1


def test_what_has_no_verdict_cannot_be_waived(corrupt, context, monkeypatch) -> None:
    broken = Query("broken", "SELECT absent, 0, 0 FROM marts.mart_ltv__cohort", "x.")
    monkeypatch.setattr(registry, "SUITES", _suite(ROWS, broken))
    report = validate(corrupt(LTV), [LTV], context, [waiver("broken")])
    assert refused_by(report) == {f"{LTV}.broken"}
    assert not report.passed
    complete = validate(corrupt(LTV), [LTV], context, [waiver("row_count")])
    mart = dataclasses.replace(complete.marts[0], evaluated=1)
    assert not dataclasses.replace(complete, marts=(mart,)).passed
    with pytest.raises(ValueError, match="only a critical failure can be waived"):
        dataclasses.replace(one(report, f"{LTV}.broken"), waived="until then")


@pytest.mark.parametrize("mart", MARTS)
def test_rows_are_bounded_by_the_last_release(corrupt, monkeypatch, mart) -> None:
    candidate = corrupt(mart)
    name = "row_count.kept" if mart == LEDGER else "row_count"
    only(monkeypatch, mart, name)
    with duckdb.connect(str(candidate), read_only=True) as connection:
        rows = connection.execute(f"SELECT count(*) FROM marts.{mart}").fetchone()[0]

    def statuses(previous: int) -> str:
        context = Context(THROUGH, THROUGH, is_first_release=False, previous_row_counts={mart: previous})
        return one(validate(candidate, [mart], context), f"{mart}.{name}").status

    # A tree grows and does not shrink.
    most = rows * 10 // 9 if mart == TREE else rows * 2
    assert statuses(most) == "passed"
    assert statuses(most + 1) == "failed"
    if rows > 1_500:
        assert statuses(rows // 3 + 1) == "passed"
        assert statuses(rows // 3 - 1) == "failed"


def test_what_cannot_be_reconciled_is_refused(corrupt, context) -> None:
    report = validate(corrupt(QUALITY), [QUALITY], dataclasses.replace(context, arrived={}))
    names = {f"{QUALITY}.{name}.reconciles_with_lake" for name in ("landed", "accepted", "quarantined")}
    assert names <= refused_by(report)
    check = one(report, f"{QUALITY}.landed.reconciles_with_lake")
    assert (check.observed, check.expected) == ("9000", "0")


def test_advertising_is_reconciled_with_the_lake(corrupt, context, monkeypatch) -> None:
    only(monkeypatch, CAC, *(f"{name}.reconciles_with_lake" for name in ("clicks", "impressions", "spend")))
    candidate = corrupt(CAC)
    with duckdb.connect(str(candidate)) as connection:
        sums = f"SELECT sum(clicks), sum(impressions), sum(spend), count(*) FROM {CAC} WHERE channel <> 'all'"
        clicks, impressions, spend, cells = connection.execute(sums).fetchone()
    told = dataclasses.replace(context, advertised={"clicks": clicks, "impressions": impressions, "spend": spend})
    assert validate(candidate, [CAC], told).passed
    rounding = Decimal("0.005") * cells
    for missing, refused in ((rounding, set()), (rounding + Decimal("0.001"), {f"{CAC}.spend.reconciles_with_lake"})):
        other = dataclasses.replace(told, advertised={**told.advertised, "spend": spend + missing})
        assert refused_by(validate(candidate, [CAC], other)) == refused
    other = dataclasses.replace(told, advertised={**told.advertised, "impressions": impressions + 1})
    report = validate(candidate, [CAC], other)
    assert refused_by(report) == {f"{CAC}.impressions.reconciles_with_lake"}
    check = one(report, f"{CAC}.impressions.reconciles_with_lake")
    assert (check.observed, check.expected) == (str(impressions), str(impressions + 1))


PUBLICATION_CORRUPTIONS = [
    (
        "UPDATE _publication SET marts = list_filter(marts, x -> x.mart <> 'mart_ltv__cohort')",
        "_publication.marts.complete",
    ),
    ("CREATE TABLE mart_unknown AS SELECT 1 AS id", "_publication.marts.complete"),
    ("CREATE VIEW mart_view AS SELECT 1 AS id", "_publication.marts.complete"),
    ("DELETE FROM mart_ltv__cohort WHERE segment = 'c1'", "mart_ltv__cohort.row_count.published"),
    ("DELETE FROM _publication", "_publication.row_count"),
    ("INSERT INTO _publication FROM _publication", "_publication.row_count"),
    ("UPDATE _publication SET release_id = ' '", "_publication.release_id.filled"),
    ("UPDATE _publication SET code_version = NULL", "_publication.code_version.filled"),
    ("ALTER TABLE _publication ALTER published_at TYPE DATE", "_publication.columns"),
]


@pytest.mark.parametrize(("sql", "name"), PUBLICATION_CORRUPTIONS)
def test_a_release_that_misdescribes_itself_is_refused(corrupt, context, monkeypatch, sql, name) -> None:
    monkeypatch.setattr(registry, "SUITES", {mart: _queries_only(registry.SUITES[mart]) for mart in MARTS})
    report = validate(corrupt(after=sql), MARTS, context)
    assert name in refused_by(report)


def _queries_only(build):
    return lambda *about: [check for check in build(*about) if isinstance(check, Query)]


def test_a_missing_publication_or_mart_is_an_error_not_a_crash(corrupt, context) -> None:
    report = validate(corrupt(LTV, after="DROP TABLE _publication; DROP TABLE mart_ltv__cohort"), [LTV], context)
    assert report.release_id is None
    assert one(report, "_publication.row_count").status == "error"
    assert one(report, f"{LTV}.row_count").status == "error"
    assert one(report, f"{LTV}.types").status == "failed"
    lines = gate.summary_lines(report)
    assert any(f"failed: {LTV}.types." in line for line in lines)
    assert sum(f"error: {LTV}." in line for line in lines) == 3
    assert any(line.endswith("checks that cannot be evaluated and are not shown: 37") for line in lines)
    assert not report.passed


def test_warnings_do_not_refuse(corrupt) -> None:
    context = Context(THROUGH, THROUGH + timedelta(days=9), is_first_release=True)
    report = validate(corrupt(LTV), [LTV], context)
    assert one(report, "_publication.data_through.recent").status == "failed"
    assert report.passed
    assert any("warning: _publication.data_through.recent" in line for line in gate.summary_lines(report))


def test_a_company_without_any_model_is_warned_of_and_published(corrupt, context) -> None:
    names = ", ".join(f"predicted_ltv_{horizon}m{part} = NULL" for horizon in (12, 24, 36) for part in ("", "_p10", "_p90"))
    report = validate(corrupt(LTV, before=f"UPDATE {LTV} SET {names}, method = 'none: too few customers'"), [LTV], context)
    assert one(report, f"{LTV}.method.any_model").status == "failed"
    assert report.passed


def _suite(*checks):
    return {LTV: lambda *_: list(checks)}


ROWS = Expectation("row_count", "ExpectTableRowCountToBeBetween", {"min_value": 1}, "at least 1", "There are rows.")


@pytest.mark.parametrize(
    ("check", "reason"),
    [
        (
            Expectation("broken", "ExpectColumnValuesToNotBeNull", {"column": "absent"}, "", "x."),
            "InvalidMetricAccessorDomainKwargsKeyError",
        ),
        # DuckDB cannot compare a number with the text, and its message quotes it.
        (
            Expectation("broken", "ExpectColumnValuesToBeInSet", {"column": "age_months", "value_set": ["pear"]}, "", "x."),
            "ConversionException",
        ),
        (
            Query("broken", "SELECT count(*), 0, 0 FROM marts.mart_ltv__cohort WHERE segment::INTEGER = 1", "x."),
            "ConversionException",
        ),
        (Query("broken", "SELECT absent, 0, 0 FROM marts.mart_ltv__cohort", "x."), "Binder Error"),
        (Query("broken", "SELECT NULL, 0, 0", "x."), "no count of violations"),
        (Query("broken", "SELECT 0, 0, 0 FROM marts.mart_ltv__cohort", "x."), "no count of violations"),
    ],
)
def test_a_check_that_raises_is_an_error_and_refuses(corrupt, context, monkeypatch, check, reason) -> None:
    monkeypatch.setattr(registry, "SUITES", _suite(ROWS, dataclasses.replace(check, severity="warning")))
    report = validate(corrupt(LTV), [LTV], context)
    broken = one(report, f"{LTV}.broken")
    assert broken.status == "error"
    assert reason in broken.explanation
    assert "pear" not in report.to_json()
    assert one(report, f"{LTV}.row_count").status == "passed"
    assert (report.marts[0].declared, report.marts[0].evaluated) == (2, 1)
    assert not report.passed


def test_an_expectation_great_expectations_does_not_know_is_an_error(corrupt, context, monkeypatch) -> None:
    monkeypatch.setattr(registry, "SUITES", _suite(ROWS, Expectation("odd", "ExpectMiracles", {}, "", "x.")))
    report = validate(corrupt(LTV), [LTV], context)
    assert one(report, f"{LTV}.odd").status == "error"
    assert not report.passed


def test_an_empty_suite_and_a_name_used_twice_are_refused(corrupt, context, monkeypatch) -> None:
    monkeypatch.setattr(registry, "SUITES", _suite())
    assert not validate(corrupt(LTV), [LTV], context).passed
    monkeypatch.setattr(registry, "SUITES", _suite(ROWS, ROWS))
    with pytest.raises(ValueError, match=r"mart_ltv__cohort: check names used twice: row_count"):
        validate(corrupt(LTV), [LTV], context)


def test_fewer_verdicts_than_declared_checks_do_not_pass(sound_report: GateReport) -> None:
    mart = sound_report.marts[0]
    for changed in (
        dataclasses.replace(mart, evaluated=mart.evaluated - 1),
        dataclasses.replace(mart, declared=mart.declared + 1),
        dataclasses.replace(mart, checks=mart.checks[1:]),
        MartReport(mart.mart, 0, 0, ()),
    ):
        assert mart.passed
        assert not changed.passed
        assert not dataclasses.replace(sound_report, marts=(changed, *sound_report.marts[1:])).passed
    assert not dataclasses.replace(sound_report, marts=()).passed


def test_the_json_form_gives_the_same_report(sound_report: GateReport) -> None:
    assert GateReport.from_json(sound_report.to_json()) == sound_report
    data = json.loads(sound_report.to_json())
    data["marts"][0]["checks"][0]["status"] = "failed"
    with pytest.raises(ValueError, match="does not follow"):
        GateReport.from_json(json.dumps(data))
    for broken in ("{}", "[]", "no json", json.dumps(data | {"marts": [{"mart": "x"}]})):
        with pytest.raises(ValueError, match=r"gate report|Expecting"):
            GateReport.from_json(broken)


def test_no_value_of_a_row_leaves_the_gate(corrupt, context, caplog, capfd) -> None:
    secret = "Zhang-Wei-secret"  # noqa: S105
    sql = f"""UPDATE {{mart}} SET dimension = '{secret}', segment = '{secret}<b>' WHERE dimension <> 'all';
        INSERT INTO {{mart}} FROM {{mart}};"""
    with caplog.at_level(logging.DEBUG, "great_expectations"):
        report = validate(corrupt(RETENTION, before=sql.format(mart=RETENTION)), [RETENTION], context)
    assert {f"{RETENTION}.dimension.known", f"{RETENTION}.grain.unique"} <= refused_by(report)
    output = "".join(capfd.readouterr())
    for text in (report.to_json(), page.render(report), "\n".join(gate.summary_lines(report)), caplog.text, output):
        assert secret not in text
    assert output == ""


def test_the_summary_names_what_failed_with_both_numbers(corrupt, context) -> None:
    candidate = corrupt(LTV, before="DELETE FROM mart_ltv__cohort WHERE dimension = 'all' AND age_months = 0")
    report = validate(candidate, [LTV], context)
    lines = gate.summary_lines(report)
    assert lines[0].startswith("Gate refused: release r-0001, data through 2026-03-31")
    assert any(
        line.strip().startswith(f"failed: {LTV}.segment.all_present.") and line.endswith("rows, expected 0.") for line in lines
    )


def test_the_candidate_is_only_read_and_its_path_is_free_afterwards(corrupt, context) -> None:
    candidate = corrupt(LTV)
    before = candidate.read_bytes()
    validate(candidate, [LTV], context)
    assert candidate.read_bytes() == before
    assert list(candidate.parent.iterdir()) == [candidate]
    # An open read-only handle would make this raise, or show the old file.
    with duckdb.connect(str(candidate)) as connection:
        connection.execute("CREATE TABLE proof (i INTEGER)")


def test_what_cannot_be_judged_is_named(corrupt, context, tmp_path) -> None:
    with pytest.raises(CandidateError, match=r"absent\.duckdb cannot be read: No such file"):
        validate(tmp_path / "absent.duckdb", [LTV], context)
    text = tmp_path / "text.duckdb"
    text.write_text("not a database, but long enough to be looked at" * 100)
    with pytest.raises(CandidateError, match=r"text\.duckdb cannot be opened as a DuckDB file"):
        validate(text, [LTV], context)
    candidate = corrupt(LTV)
    candidate.with_name("marts.duckdb.wal").write_bytes(b"")
    with pytest.raises(CandidateError, match=r"write-ahead log"):
        validate(candidate, [LTV], context)


def test_a_candidate_that_changes_meanwhile_is_refused(corrupt, context, monkeypatch) -> None:
    candidate = corrupt(LTV)

    def tampering_suite(*_):
        return [Query("row_count", "SELECT 0, 0, 0", "x.")]

    read = gate._release_id
    monkeypatch.setattr(registry, "SUITES", {LTV: tampering_suite})
    monkeypatch.setattr(gate, "_release_id", lambda connection: (read(connection), candidate.open("ab").write(b"x"))[0])
    with pytest.raises(CandidateError, match="changed while"):
        validate(candidate, [LTV], context)


def test_marts_must_have_a_suite_and_be_named_once(corrupt, context) -> None:
    candidate = corrupt(LTV)
    with pytest.raises(registry.UnknownMartError, match=r"'mart_new__thing' has no suite.*mart_funnel__entry"):
        validate(candidate, [LTV, "mart_new__thing"], context)
    with pytest.raises(ValueError, match="no marts"):
        validate(candidate, [], context)
    with pytest.raises(ValueError, match="twice"):
        validate(candidate, [LTV, LTV], context)


def test_a_context_that_compares_with_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="after as_of"):
        Context(THROUGH, date(2026, 3, 30), is_first_release=True)
    with pytest.raises(ValueError, match="no previous row counts"):
        Context(THROUGH, THROUGH, is_first_release=False)
    with pytest.raises(ValueError, match="first release has no previous"):
        Context(THROUGH, THROUGH, is_first_release=True, previous_row_counts={LTV: 1})


def test_the_gate_opens_no_network_connection(corrupt, context, monkeypatch) -> None:
    def refuse(*_, **__):
        raise AssertionError("the gate opened a network connection")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert validate(corrupt(LTV), [LTV], context).passed


def test_a_fresh_process_reaches_no_network_and_writes_nothing_home(corrupt, tmp_path) -> None:
    """Regression guarded: an import or a context that reports home, looks for a newer version or leaves files in $HOME."""
    candidate, home, work = corrupt(LTV), tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    wanted = ("name", "types", "required", "values", "grain", "keys", "sums")
    declared = {name: getattr(SPECS[LTV], name) for name in wanted}
    code = f"""
import sys
from collections import Counter
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from types import SimpleNamespace
reached = []
sys.addaudithook(lambda event, args: reached.append(event) if event in ("socket.connect", "socket.getaddrinfo") else None)
from expectations.gate import Context, validate
assert "great_expectations" not in sys.modules and "sqlalchemy" not in sys.modules
context = Context(date(2026, 3, 31), date(2026, 3, 31), True)
report = validate(Path({str(candidate)!r}), [SimpleNamespace(**{declared!r})], context)
assert report.passed and not reached, reached
assert not any(name.split(".")[0] in ("dagster", "orchestration", "ml") for name in sys.modules)
"""
    root = Path(gate.__file__).parents[1]
    environment = os.environ | {"HOME": str(home), "TZ": "America/New_York", "PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=work, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(home.iterdir()) == []
    assert list(work.iterdir()) == []
