"""The code location as Dagster sees it: graph, job, schedule, backfills, checks, and the service itself."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from expectations.registry import SUITES
from orchestration.base.errors import NorthstarError
from orchestration.config.loading import load
from orchestration.definitions import build
from tests.conftest import environment_of
from tests.integration.conftest import all_but_the_ingest, ask, copy_home, current, dagster_in, dagster_of

CURRENT = dg.AssetKey(["release", "current"])
SNAPSHOT = Path(__file__).with_name("assets.txt")


@pytest.fixture(scope="module")
def defs(small_home) -> dg.Definitions:
    return build(load({"NORTHSTAR_HOME": str(small_home)}, directory=small_home))


def test_keys_groups_and_dependencies_are_those_reviewed(defs):
    """A change of the graph shows in the review: write the new graph over the snapshot when it is meant."""
    graph = defs.resolve_asset_graph()
    lines = []
    for key in sorted(graph.get_all_asset_keys()):
        parents = ", ".join(sorted(parent.to_user_string() for parent in graph.get(key).parent_keys))
        lines.append(f"{graph.get(key).group_name:<12} {key.to_user_string()} <- {parents}".rstrip())
    if os.environ.get("UPDATE_SNAPSHOTS"):
        SNAPSHOT.write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert lines == SNAPSHOT.read_text(encoding="utf-8").splitlines()


def test_every_asset_has_group_owner_description_and_executes(defs):
    graph = defs.resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        # What reads a release is shown, and lies outside.
        assert node.is_executable != (key.path[0] == "exposures"), key
        assert node.group_name != "default", key
        assert node.owners, key
        assert node.description, key


def test_owners_are_teams_until_the_site_names_addresses(defs, small_home, tmp_path):
    def owners(definitions: dg.Definitions) -> dict[str, list[str]]:
        graph = definitions.resolve_asset_graph()
        keys = [["marts", "mart_mrr__month"], ["published", "mart_mrr__month"], ["release", "current"], ["ml", "churn_scores"]]
        return {"/".join(key): list(graph.get(dg.AssetKey(key)).owners) for key in keys}

    assert owners(defs) == {
        "marts/mart_mrr__month": ["team:growth"],
        "published/mart_mrr__month": ["team:growth"],
        "release/current": ["team:platform"],
        "ml/churn_scores": ["team:science"],
    }
    (tmp_path / "northstar.toml").write_text('[owners]\ngrowth = "growth@example.com"\nscience = "team:data_science"\n')
    at_site = build(load({"NORTHSTAR_HOME": str(small_home)}, directory=tmp_path))
    assert owners(at_site) == {
        "marts/mart_mrr__month": ["growth@example.com"],
        "published/mart_mrr__month": ["growth@example.com"],
        "release/current": ["team:platform"],
        "ml/churn_scores": ["team:data_science"],
    }


def test_published_marts_descend_from_the_landing_zone(defs):
    graph = defs.resolve_asset_graph()
    published = [key for key in graph.get_all_asset_keys() if key.path[0] == "published"]
    assert {key.path[-1] for key in published} == set(SUITES)
    for key in published:
        seen, todo = set(), [key]
        while todo:
            for parent in graph.get(todo.pop()).parent_keys:
                if parent not in seen:
                    seen.add(parent)
                    todo.append(parent)
        assert dg.AssetKey(["lake", "arrivals"]) in seen
        assert dg.AssetKey(["release", "candidate"]) in seen


def test_the_lineage_ends_at_those_who_read_the_published_marts(defs):
    graph = defs.resolve_asset_graph()
    readers = {key: graph.get(key) for key in graph.get_all_asset_keys() if key.path[0] == "exposures"}
    assert {key.path[-1] for key in readers} == {"bi_workbook", "report_page", "audiences", "executive_review"}
    assert {parent.path[0] for node in readers.values() for parent in node.parent_keys} == {"published"}
    assert not any(node.child_keys for node in readers.values())


def test_columns_and_checks_are_shown(defs):
    graph = defs.resolve_asset_graph()
    schema = graph.get(dg.AssetKey(["published", "mart_funnel__entry"])).metadata["dagster/column_schema"]
    assert [column.name for column in schema.columns][:3] == ["funnel", "entry_grain", "entry_start"]
    checks = {key.name for key in graph.asset_check_keys if key.asset_key == dg.AssetKey(["release", "candidate"])}
    assert checks == {*(f"{mart}__expectations" for mart in SUITES), "publication__expectations"}
    assert "assert_funnel_never_rises" in {key.name for key in graph.asset_check_keys}


def test_the_night_is_scheduled_at_half_past_three_on_every_day_of_the_year(defs):
    schedule = defs.resolve_schedule_def("nightly_at_0330")
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    assert (schedule.job_name, schedule.cron_schedule, schedule.execution_timezone) == ("nightly", "30 3 * * *", "Asia/Shanghai")
    context = dg.build_schedule_context(scheduled_execution_time=datetime(2026, 11, 21, 3, 30, tzinfo=ZoneInfo("Asia/Shanghai")))
    tick = schedule.evaluate_tick(context)
    assert len(tick.run_requests) == 1


@pytest.mark.parametrize("zone", ["America/New_York", "Europe/London", "Asia/Shanghai", "Australia/Sydney", "America/Santiago"])
def test_no_clock_change_skips_or_doubles_half_past_three(zone):
    for day in range(366):
        night = datetime(2024, 1, 1, 3, 30, tzinfo=ZoneInfo(zone)) + timedelta(days=day)
        assert night.replace(fold=0).utcoffset() == night.replace(fold=1).utcoffset(), night


def test_partitions_are_arrival_days_of_the_reporting_time_zone(defs):
    arrivals = defs.resolve_assets_def(dg.AssetKey(["lake", "arrivals"]))
    assert (
        arrivals.partitions_def.get_partition_keys(current_time=datetime(2026, 11, 20, 16, 30, tzinfo=ZoneInfo("UTC")))[-1]
        == "2026-11-21"
    )
    assert arrivals.partitions_def.get_partition_keys()[0] == "2010-01-01"
    assert arrivals.backfill_policy == dg.BackfillPolicy.single_run()


def test_a_range_of_partitions_is_ingested_in_one_run(small_home, tmp_path):
    home = copy_home(small_home, tmp_path / "home")
    settings = load({"NORTHSTAR_HOME": str(home)}, directory=home)
    with dagster_in(tmp_path) as instance:
        job = build(settings).resolve_job_def("nightly")
        result = job.execute_in_process(
            instance=instance,
            asset_selection=[dg.AssetKey(["lake", "arrivals"])],
            tags={"dagster/asset_partition_range_start": "2026-11-01", "dagster/asset_partition_range_end": "2026-11-03"},
        )
        assert result.success
        assert instance.get_materialized_partitions(dg.AssetKey(["lake", "arrivals"])) == {
            "2026-11-01",
            "2026-11-02",
            "2026-11-03",
        }


def test_what_follows_a_backfill_is_one_run_without_partitions(defs, next_day, corrected):
    """Launched on everything for some arrival days, Dagster runs the ingest of those days, and then all the rest once."""
    graph = defs.resolve_asset_graph()
    arrivals = {dg.AssetKey(["lake", "arrivals"])}
    roots = [key for key in all_but_the_ingest(defs) if graph.get(key).parent_keys <= arrivals]
    assert {key.path[0] for key in roots} == {"lake", "control"}  # nothing that could run before the ingest is over
    assert current(corrected)["release_id"] != current(next_day)["release_id"]
    assert current(corrected)["previous_release_id"] == current(next_day)["release_id"]


def test_one_model_can_be_built_alone(small_home, tmp_path):
    home = copy_home(small_home, tmp_path / "home")
    settings = load({"NORTHSTAR_HOME": str(home)}, directory=home)
    key = dg.AssetKey(["marts", "mart_ltv__cohort"])
    with dagster_in(tmp_path) as instance:
        result = build(settings).resolve_job_def("nightly").execute_in_process(instance=instance, asset_selection=[key])
        assert result.success
        assert [event.asset_key for event in result.get_asset_materialization_events()] == [key]
        assert {check.asset_key for check in result.get_asset_check_evaluations()} == {key}
    assert current(home) == current(small_home)


def test_one_check_can_be_run_alone(small_home, tmp_path):
    """And builds nothing: the model that it judges may be one that somebody is looking into."""
    home = copy_home(small_home, tmp_path / "home")
    settings = load({"NORTHSTAR_HOME": str(home)}, directory=home)
    key = dg.AssetCheckKey(dg.AssetKey(["marts", "mart_funnel__entry"]), "assert_funnel_never_rises")
    with dagster_in(tmp_path) as instance:
        job = build(settings).resolve_job_def("nightly")
        alone = job.get_subset(asset_selection=set(), asset_check_selection={key})
        result = alone.execute_in_process(instance=instance)
        assert result.success
        assert result.get_asset_materialization_events() == []
        assert [(check.asset_check_key, check.passed) for check in result.get_asset_check_evaluations()] == [(key, True)]
    assert current(home) == current(small_home)


def test_publishing_alone_publishes_nothing(small_home, tmp_path):
    home = copy_home(small_home, tmp_path / "home")
    before = current(home)
    settings = load({"NORTHSTAR_HOME": str(home)}, directory=home)
    with dagster_in(tmp_path) as instance:
        job = build(settings).resolve_job_def("nightly")
        published = [*before["marts"], *before["left_out"]]
        with pytest.raises(NorthstarError, match="no candidate was built in this run"):
            job.execute_in_process(
                instance=instance, asset_selection=[*(dg.AssetKey(["published", mart]) for mart in published), CURRENT]
            )
    assert current(home) == before


def test_the_night_is_recorded_where_the_ui_looks(small_home):
    with dagster_of(small_home) as instance:
        runs = instance.get_runs()
        assert [run.job_name for run in runs] == ["nightly"]
        assert runs[0].status is dg.DagsterRunStatus.SUCCESS
        partitions = instance.get_materialized_partitions(dg.AssetKey(["lake", "arrivals"]))
        assert {"2026-11-18", "2026-11-19"} <= partitions
        assert "2026-11-20" not in partitions
        event = instance.get_latest_materialization_event(dg.AssetKey(["marts", "mart_retention__cohort"]))
        assert event.asset_materialization.metadata["dagster/row_count"].value > 100
        published = instance.get_latest_materialization_event(dg.AssetKey(["published", "mart_retention__cohort"]))
        assert published.asset_materialization.metadata["release"].value == current(small_home)["release_id"]


def test_a_company_too_young_for_a_model_says_so(small_home):
    """Forty-five days and 150 users: nobody is predicted for without a model, and the night went on."""
    with dagster_of(small_home) as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey(["ml", "ltv_cohorts"]))
        metadata = event.asset_materialization.metadata
    assert metadata["subscriptions"].value.startswith("none: too few customers: ")
    methods = ask(
        small_home,
        "select method like 'none%', count(*), count(predicted_ltv_12m) from marts.mart_ltv__cohort group by 1 order by 1",
    )
    assert methods[-1][0]
    assert methods[-1][1] > 0
    assert methods[-1][2] == 0
    assert all(rows == predicted for is_absent, rows, predicted in methods if not is_absent)
    assert metadata["dagster/row_count"].value > 0


def test_the_ui_serves_the_code_location_on_loopback(small_home, tmp_path):
    home = copy_home(small_home, tmp_path / "home")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with (tmp_path / "log").open("w") as log:
        service = subprocess.Popen(
            [sys.executable, "-c", "from orchestration.cli import main; main()", "ui", "--port", str(port)],
            env=environment_of(home),
            cwd=home,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            question = "{repositoriesOrError{... on RepositoryConnection{nodes{jobs{name} schedules{name}}}}}"
            answer = _ask_until_loaded(f"http://127.0.0.1:{port}/graphql", question, service)
            names = {job["name"] for node in answer["data"]["repositoriesOrError"]["nodes"] for job in node["jobs"]}
            assert "nightly" in names
        finally:
            service.send_signal(signal.SIGTERM)
            assert service.wait(timeout=60) == 0


def _ask_until_loaded(url: str, question: str, service: "subprocess.Popen[bytes]") -> dict:
    request = urllib.request.Request(url, json.dumps({"query": question}).encode(), {"Content-Type": "application/json"})
    for _ in range(240):
        assert service.poll() is None
        with suppress(OSError), urllib.request.urlopen(request, timeout=10) as response:
            answer = json.loads(response.read())
            if answer["data"]["repositoriesOrError"].get("nodes"):
                return answer
        time.sleep(0.5)
    raise AssertionError("the code location did not load in two minutes")
