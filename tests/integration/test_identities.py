"""The identities of the marts, as dbt compiled them: each holds after a night, and each is broken by figures that are wrong."""

import json
import os
import shutil
from collections.abc import Iterator
from unittest.mock import patch

import duckdb
import pytest

from orchestration.config.loading import load
from orchestration.warehouse import dbt
from tests.integration.conftest import copy_home

FUNNEL, EXITS, OPPORTUNITIES = "mart_funnel__entry", "mart_funnel_exits__weekly", "mart_funnel_opportunities__current"
ENGAGEMENT, RETENTION = "mart_engagement__daily", "mart_retention__cohort"
MRR, LTV, CAC, QUALITY = "mart_mrr__month", "mart_ltv__cohort", "mart_ltv_cac__channel_month", "mart_data_quality__daily"
METRIC, TREE, WORTH = "mart_metric__daily", "mart_metric_tree__current", "mart_ltv__customer"
CHURN, HEALTH = "mart_churn__account", "mart_health__account"
LATER = "rule = 'on_or_after' AND cohort_grain = 'day' AND is_mature"

# Test, mart, how a row of it is changed (None: it is missing), and which row: the last of those that the condition names.
FAULTS = [
    ("assert_funnel_never_rises", FUNNEL, "person_count = previous_count + 1", "step_number = 3 AND dimension = 'plan'"),
    ("assert_funnel_never_rises", FUNNEL, "previous_count = previous_count + 1", "step_number = 2 AND dimension = 'industry'"),
    ("assert_funnel_never_rises", FUNNEL, "entrant_count = person_count - 1", "step_number = 1 AND dimension = 'role'"),
    ("funnel_segments_add_up", FUNNEL, "segment = '(none)', dimension = 'colour'", "dimension = 'city_tier'"),
    ("funnel_segments_add_up", FUNNEL, "person_count = person_count - 1", "person_count > 0 AND dimension = 'all'"),
    ("funnel_segments_add_up", FUNNEL, None, "dimension = 'all'"),
    ("funnel_segments_add_up", FUNNEL, None, "dimension = 'plan' AND person_count > 0"),
    ("funnel_rates_lie_between_0_and_1", FUNNEL, "overall_rate = 1.01", "true"),
    ("assert_funnel_exits_are_those_of_the_funnel", EXITS, None, "stopped_count = exit_count"),
    ("assert_funnel_exits_are_those_of_the_funnel", EXITS, "stopped_count = stopped_count + 1", "true"),
    ("exits_are_of_those_who_stopped", EXITS, "exit_count = stopped_count + 1", "true"),
    ("no_more_persons_are_lost_than_came", OPPORTUNITIES, "lost_person_count = entrant_count + 1", "entrant_count IS NOT NULL"),
    ("steps_that_lose_over_half_are_opportunities", OPPORTUNITIES, "opportunity_rank = NULL", "opportunity_rank IS NOT NULL"),
    ("mrr_bridge_closes", MRR, "closing_mrr = closing_mrr + 0.01", "dimension = 'plan'"),
    ("account_bridge_closes", MRR, "churned_account_count = churned_account_count + 1", "dimension = 'industry'"),
    ("mrr_segments_add_up", MRR, "transferred_mrr = transferred_mrr + 0.01", "dimension = 'all'"),
    ("mrr_segments_add_up", MRR, "new_account_count = new_account_count + 1", "dimension = 'country'"),
    ("mrr_segments_add_up", MRR, None, "dimension = 'all' AND closing_mrr > 0"),
    ("assert_mrr_opens_where_it_closed", MRR, "opening_mrr = opening_mrr + 0.01", "dimension = 'channel'"),
    ("assert_mrr_is_what_subscriptions_say", MRR, "closing_mrr = closing_mrr + 1000", "dimension = 'all' AND NOT is_complete"),
    ("whoever_is_active_is_new_retained_or_resurrected", ENGAGEMENT, "active_count = active_count + 1", "dimension = 'role'"),
    ("a_day_lies_within_its_week_and_its_month", ENGAGEMENT, "wau = mau + 1", "true"),
    ("assert_engagement_movements_close", ENGAGEMENT, "dormant_count = dormant_count + 1", "dimension = 'city_tier'"),
    ("assert_engagement_movements_close", ENGAGEMENT, "retained_count = retained_count - 1", "retained_count > 0"),
    ("assert_engagement_movements_close", ENGAGEMENT, None, "date = '2026-11-10'"),
    ("engagement_segments_add_up", ENGAGEMENT, "resurrected_count = resurrected_count + 1", "dimension = 'country'"),
    ("engagement_segments_add_up", ENGAGEMENT, "session_count = session_count + 1", "dimension = 'all'"),
    ("assert_engagement_conserves_activity", ENGAGEMENT, "session_count = session_count + 1", "dimension = 'device'"),
    ("assert_retention_cohorts_keep_their_size", RETENTION, "cohort_count = cohort_count + 1", "period_index > 0"),
    ("assert_retention_on_or_after_never_rises", RETENTION, "retained_count = cohort_count + 1", f"{LATER} AND period_index = 9"),
    # Published periods may lie far apart.
    (
        "assert_retention_on_or_after_never_rises",
        RETENTION,
        "retained_count = cohort_count + 1, period_index = 90",
        f"{LATER} AND period_index = 9",
    ),
    ("retention_segments_add_up", RETENTION, "retained_count = retained_count + 1", "is_mature AND dimension = 'channel'"),
    ("retention_segments_add_up", RETENTION, "cohort_count = cohort_count + 1", "dimension = 'device'"),
    ("retained_persons_are_of_the_cohort", RETENTION, "retained_count = cohort_count + 1", "is_mature"),
    ("immature_cells_are_null", RETENTION, "retained_count = 0", "NOT is_mature"),
    ("ltv_segments_add_up", LTV, "customer_count = customer_count + 1", "dimension = 'channel'"),
    ("ltv_segments_add_up", LTV, "revenue = revenue + 1", "is_mature AND dimension = 'country'"),
    ("unfinished_months_are_null", LTV, "revenue = 0", "NOT is_mature"),
    ("assert_ltv_conserves_revenue", LTV, "revenue = revenue + 1", "is_mature AND dimension = 'all'"),
    ("assert_channels_add_up", CAC, "clicks = clicks + 1", "clicks IS NOT NULL AND channel <> 'all'"),
    ("assert_channels_add_up", CAC, None, "channel = 'all'"),
    ("assert_spend_in_is_spend_out", CAC, "spend = spend + 0.01", "channel <> 'all' AND spend IS NOT NULL"),
    ("assert_spend_in_is_spend_out", CAC, None, "channel <> 'all' AND spend > 0"),
    ("paid_customers_are_new_customers", CAC, "paid_customer_count = new_customer_count + 1", "true"),
    ("assert_customers_of_cac_are_those_of_ltv", CAC, "new_customer_count = new_customer_count + 1", "is_complete"),
    ("nothing_is_lost_between_landing_and_lake", QUALITY, "landing_difference = 1", "true"),
    ("nothing_is_lost_between_lake_and_facts", QUALITY, "fact_difference = -1", "true"),
    ("duplicates_are_repeats_and_conflicts", QUALITY, "conflict_count = conflict_count + 1", "true"),
    ("without_a_model_nothing_is_predicted", LTV, "predicted_ltv_36m = 1", "method LIKE 'none%'"),
    ("without_a_model_nothing_is_expected", WORTH, "predicted_ltv_36m = 1", "method LIKE 'none%'"),
    ("health_scores_lie_between_0_and_100", HEALTH, "health_score = 100.5", "true"),
    ("churn_probabilities_lie_between_0_and_1", CHURN, "churn_probability = 1.01", "true"),
    ("key_indicators_have_actions", CHURN, "recommended_actions = NULL", "true"),
    ("what_is_not_complete_is_grey", METRIC, "status = 'red'", "NOT is_complete"),
    ("statuses_are_known", METRIC, "status = 'blue'", "is_complete"),
    ("what_is_not_computed_has_a_reason", TREE, "missing_reason = NULL", "NOT is_computed"),
    (
        "assert_metrics_are_products_of_what_drives_them",
        METRIC,
        "numerator = numerator + 1",
        "metric = 'mapu' AND dimension = 'country'",
    ),
    ("assert_metric_segments_add_up", METRIC, "numerator = numerator + 1", "metric = 'signups' AND dimension = 'channel'"),
    ("assert_metric_segments_add_up", METRIC, None, "metric = 'mau' AND dimension = 'all'"),
    ("assert_metrics_are_those_of_the_marts", METRIC, "numerator = numerator + 1", "metric = 'mrr' AND dimension = 'all'"),
]

# A company of 45 days has no model yet, and nobody to say anything of.
SCORED = f"""
    INSERT INTO {CHURN} (as_of_date, account_id, churn_probability, risk_level, usage_decline, support_tickets, feature_adoption,
        engagement_score, payment_issues, contract_proximity, key_indicators, recommended_actions, mrr, mrr_at_risk,
        intervention_priority, model_version)
    VALUES ('2026-11-19', 'a', 0.5, 'critical', 1, 0, 0, 0, 0, 0, '+usage_decline', 'Call them', 10, 5, 1, 'm1')
"""


@pytest.fixture(scope="module")
def compiled(small_home, tmp_path_factory) -> dict[str, str]:
    """SQL of every test of a mart that says more than that a key is unique or a value is one of a list, by name."""
    home = copy_home(small_home, tmp_path_factory.mktemp("compiled") / "home")
    with patch.dict(os.environ):
        settings = load({"NORTHSTAR_HOME": str(home)}, directory=home)
        found = dbt._invoke(settings, ["compile", "--select", "resource_type:test"], parsed=dbt.read_parsed(settings))
    compiled = {result.node.unique_id: result.node.compiled_code for result in found.results}
    nodes = json.loads((home / "dbt" / "target" / "manifest.json").read_bytes())["nodes"]
    told = {unique_id for unique_id, node in nodes.items() if node["resource_type"] == "model" and node["schema"] == "marts"}
    return {
        nodes[unique_id]["name"]: sql
        for unique_id, sql in compiled.items()
        if told & set(nodes[unique_id]["depends_on"]["nodes"])
        and (nodes[unique_id].get("test_metadata") or {}).get("name") not in ("unique_key", "accepted_values")
    }


@pytest.fixture(scope="module")
def warehouse(small_home, tmp_path_factory) -> Iterator[duckdb.DuckDBPyConnection]:
    path = shutil.copy(small_home / "warehouse.duckdb", tmp_path_factory.mktemp("identities"))
    with duckdb.connect() as connection:
        connection.execute(f"SET TimeZone = 'UTC'; ATTACH '{path}' AS warehouse; USE warehouse.marts")
        connection.execute(SCORED)
        yield connection


def test_every_identity_has_a_fault_that_breaks_it(compiled):
    assert {name for name, *_ in FAULTS} == compiled.keys()


def test_the_identities_hold_after_a_night(compiled, warehouse):
    broken = {name: row for name, sql in compiled.items() if (row := warehouse.execute(sql).fetchone())}
    assert broken == {}


@pytest.mark.parametrize(("name", "mart", "change", "where"), FAULTS)
def test_an_identity_finds_what_breaks_it(compiled, warehouse, name, mart, change, where):
    row = f"rowid = (SELECT max(rowid) FROM {mart} WHERE {where})"
    warehouse.begin()
    try:
        sql = f"UPDATE {mart} SET {change} WHERE {row}" if change else f"DELETE FROM {mart} WHERE {row}"
        assert warehouse.execute(sql).fetchone() == (1,), "the night has no such row"
        assert warehouse.execute(compiled[name]).fetchone() is not None
    finally:
        warehouse.rollback()
