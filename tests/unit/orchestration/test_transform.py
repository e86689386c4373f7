"""dbt in process: when its manifest is current, what is said of failures, and how results become Dagster's events."""

import json
import shutil
import threading
from dataclasses import replace
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest

from orchestration.base.errors import NorthstarError
from orchestration.config.schema import Config
from orchestration.config.settings import Settings
from orchestration.defs.transform.assets import events
from orchestration.warehouse import data_tests, dbt
from orchestration.warehouse.node_result import NodeResult
from tests.unit.orchestration.harness import BOT_EVENTS, FUNNELS, Home, event
from tests.visitor_days import VISITOR


def result(
    status: str, *, resource_type: str = "model", failures: int | None = None, message: str = "", name: str = "x"
) -> NodeResult:
    return NodeResult(f"{resource_type}.northstar.{name}", name, resource_type, status, 0.1234, failures, message)


# When the manifest is current.


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A dbt project of one file of each kind."""
    return small_project(tmp_path / "dbt_project", monkeypatch)


def small_project(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("models/a.sql", "models/a.yml", "seeds/a.csv", "README.md", "target/compiled/a.sql"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("1")
    monkeypatch.setattr(dbt, "DBT_PROJECT", folder)
    return folder


def stamped(home: Path, **config) -> Settings:
    settings = Settings(home=home, landing=home, config_file=None, config=Config(**config))
    settings.dbt_target.mkdir(parents=True, exist_ok=True)
    dbt.manifest_path(settings).write_text('{"nodes": {}}')
    dbt._tests_path(settings).write_text("[]")
    dbt._parsed_path(settings).write_bytes(b"parsed")
    (settings.dbt_target / "manifest.sha256").write_text(dbt._made(settings))
    return settings


@pytest.mark.usefixtures("project")
def test_a_stamped_manifest_is_current(tmp_path: Path) -> None:
    settings = stamped(tmp_path / "home")
    assert dbt.is_prepared(settings)
    assert dbt.prepare(settings) is None
    assert dbt.read_manifest(settings) == {"nodes": {}}


@pytest.mark.parametrize("name", ["models/a.sql", "models/a.yml", "seeds/a.csv", "models/new.sql"])
def test_a_changed_or_new_file_makes_it_stale(project: Path, tmp_path: Path, name: str) -> None:
    settings = stamped(tmp_path / "home")
    (project / name).write_text("2")
    assert not dbt.is_prepared(settings)
    with pytest.raises(NorthstarError, match=r"manifest.json is missing or older than dbt_project; run `northstar prepare`"):
        dbt.read_manifest(settings)


def test_a_removed_or_renamed_file_makes_it_stale(project: Path, tmp_path: Path) -> None:
    settings = stamped(tmp_path / "home")
    (project / "models/a.sql").rename(project / "models/b.sql")
    assert not dbt.is_prepared(settings)


def test_a_folder_above_the_project_may_have_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The `target` that dbt writes is skipped; one above the project is none of its business."""
    project = small_project(tmp_path / "target" / "dbt_project", monkeypatch)
    settings = stamped(tmp_path / "home")
    (project / "models/a.sql").write_text("2")
    assert not dbt.is_prepared(settings)


@pytest.mark.parametrize("name", ["README.md", "target/compiled/a.sql"])
def test_what_dbt_does_not_read_or_wrote_itself_changes_nothing(project: Path, tmp_path: Path, name: str) -> None:
    settings = stamped(tmp_path / "home")
    (project / name).write_text("2")
    assert dbt.is_prepared(settings)


@pytest.mark.usefixtures("project")
def test_a_variable_makes_it_stale(tmp_path: Path) -> None:
    stamped(tmp_path / "home")
    changed = Settings(home=tmp_path / "home", landing=tmp_path, config_file=None, config=Config(week_start="sunday"))
    unchanged = Settings(home=tmp_path / "home", landing=tmp_path, config_file=None, config=Config(keep_releases=3))
    assert not dbt.is_prepared(changed)
    assert dbt.is_prepared(unchanged)


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("name", ["manifest.json", "manifest.sha256", "parsed.msgpack", "tests.json"])
def test_without_manifest_or_stamp_nothing_is_prepared(tmp_path: Path, name: str) -> None:
    settings = stamped(tmp_path / "home")
    (settings.dbt_target / name).unlink()
    assert not dbt.is_prepared(settings)


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("name", ["manifest.json", "parsed.msgpack", "tests.json"])
def test_zeros_of_the_right_length_are_not_prepared(tmp_path: Path, name: str) -> None:
    settings = stamped(tmp_path / "home")
    file = settings.dbt_target / name
    file.write_bytes(bytes(file.stat().st_size))
    assert not dbt.is_prepared(settings)


@pytest.mark.usefixtures("project")
def test_a_manifest_that_cannot_be_read_is_no_longer_prepared(tmp_path: Path) -> None:
    settings = stamped(tmp_path / "home")
    path = dbt.manifest_path(settings)
    path.write_bytes(b"{".ljust(path.stat().st_size, b"x"))
    with pytest.raises(NorthstarError, match=r"manifest.json is damaged \(.*\); `northstar prepare` makes it anew"):
        dbt.read_manifest(settings)
    assert not dbt.is_prepared(settings)


@pytest.mark.usefixtures("project")
def test_compiled_tests_that_cannot_be_read_are_no_longer_prepared(tmp_path: Path) -> None:
    settings = stamped(tmp_path / "home")
    assert dbt.read_tests(settings) == []
    dbt._tests_path(settings).write_bytes(b"[}")
    with pytest.raises(NorthstarError, match=r"tests.json is damaged \((?s:.*)\); `northstar prepare` makes it anew"):
        dbt.read_tests(settings)
    assert not dbt.is_prepared(settings)


@pytest.mark.usefixtures("project")
def test_a_manifest_that_was_made_again_is_read_again(tmp_path: Path) -> None:
    settings = stamped(tmp_path / "home")
    assert dbt.read_manifest(settings) is dbt.read_manifest(settings)
    dbt.manifest_path(settings).write_text(json.dumps({"nodes": {"a": 1}}))
    (settings.dbt_target / "manifest.sha256").write_text(dbt._made(settings))
    assert dbt.read_manifest(settings) == {"nodes": {"a": 1}}


def test_a_project_that_does_not_parse_is_told_by_dbt_s_words(project: Path, tmp_path: Path) -> None:
    (project / "dbt_project.yml").write_text("name: northstar\nprofile: northstar\nmodel-paths: [models]\nversion: 1.0.0\n")
    (project / "models/a.sql").write_text("select * from {{ ref('nothing') }}")
    (project / "models/a.yml").write_text("models: []\n")
    (project / "profiles.yml").write_text("northstar: {target: d, outputs: {d: {type: duckdb, path: ':memory:'}}}\n")
    settings = Settings(home=tmp_path / "home", landing=tmp_path, config_file=None, config=Config())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("orchestration.config.settings.DBT_PROJECT", project)
        with pytest.raises(dbt.BuildFailed, match=r"(?s)dbt parse could not run: .*nothing"):
            dbt.prepare(settings)
    assert not dbt.is_prepared(settings)


def test_a_home_that_moved_is_built_without_another_parse(
    template: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless a variable has changed: then what was parsed is not taken, and dbt parses."""

    def refuse(_: object) -> None:
        raise RuntimeError("dbt parses")

    shutil.copytree(template.root, tmp_path / "moved")
    home = Home(tmp_path / "moved", bot_events_per_day=BOT_EVENTS, funnels=FUNNELS)
    home.put(date(2024, 3, 6), [event("e2", "2024-03-06T01:00:00Z")])
    monkeypatch.setattr("dbt.parser.manifest.ManifestLoader.load", refuse)
    home.night(dbt.read_parsed(home.settings))
    assert home.query("select count(*) from intermediate.int_events__unique") == [(2,)]
    home.configure(week_start="sunday")
    assert dbt.read_parsed(home.settings) is None
    with pytest.raises(dbt.BuildFailed, match="dbt parses"):
        home.night(None)


# Results arrive while dbt runs.


def running() -> bool:
    return any(thread.name.startswith("dbt") for thread in threading.enumerate())


def test_results_arrive_while_dbt_runs_with_their_rows(template: Home, tmp_path: Path, parsed: Any) -> None:
    shutil.copytree(template.root, tmp_path / "copy")
    home = Home(tmp_path / "copy", bot_events_per_day=BOT_EVENTS, funnels=FUNNELS)
    results = dbt.build(home.settings, full_refresh=True, parsed=parsed, selection=["+int_funnel__step_events"])
    first = next(results)
    assert running()
    found = [first, *results]
    assert not running()
    assert {result.status for result in found} == {"success"}
    rows = {result.name: result.rows for result in found}
    assert home.query("select count(*) from intermediate.int_funnel__steps") == [(rows["int_funnel__steps"],)]
    assert rows["stg_events"] is None


def test_only_what_is_named_is_built(template: Home, tmp_path: Path, parsed: Any) -> None:
    shutil.copytree(template.root, tmp_path / "copy")
    home = Home(tmp_path / "copy", bot_events_per_day=BOT_EVENTS, funnels=FUNNELS)
    results = dbt.build(home.settings, full_refresh=False, parsed=parsed, selection=["int_funnel__steps"])
    assert [result.name for result in results] == ["int_funnel__steps"]


# Data tests, as dbt compiled them.


def result_of(home: Home, name: str, built: dict[str, str] | None = None) -> NodeResult:
    tests = [test for test in dbt.read_tests(home.settings) if test.name.startswith(name)]
    [result] = data_tests.run(home.warehouse, tests, built or {})
    return result


@pytest.fixture
def sound(template: Home, tmp_path: Path) -> Home:
    shutil.copytree(template.root, tmp_path / "copy")
    return Home(tmp_path / "copy", bot_events_per_day=BOT_EVENTS, funnels=FUNNELS)


def test_a_data_test_passes_on_sound_rows_and_fails_on_others(sound: Home) -> None:
    name = "unique_key_int_funnel__steps"
    passed = result_of(sound, name)
    assert (passed.resource_type, passed.status, passed.failures) == ("test", "pass", None)
    with sound.warehouse.connect() as connection:
        connection.execute("insert into intermediate.int_funnel__steps from intermediate.int_funnel__steps limit 2")
    failed = result_of(sound, name)
    assert failed.is_failure
    assert (failed.status, failed.failures, failed.message) == ("fail", 2, "2 rows are wrong")


def test_a_data_test_of_a_folded_model_looks_at_what_the_night_replaced(sound: Home) -> None:
    """A wrong row of another day was looked at when it was written; where nothing is replaced, all rows are looked at."""
    name = "unique_key_int_activity__visitor_day"
    table = "intermediate.int_activity__visitor_day"
    with sound.warehouse.connect() as connection:
        connection.execute(f"insert into {table} from {table}")
        connection.execute("insert into control.affected_visitor_days values (date '1999-12-31', 'a:nobody')")
    assert result_of(sound, name).status == "pass"
    with sound.warehouse.connect() as connection:
        connection.execute(f"insert into control.affected_visitor_days select distinct event_date, {VISITOR} from {table}")
    assert result_of(sound, name).status == "fail"
    with sound.warehouse.connect() as connection:
        connection.execute("delete from control.affected_visitor_days")
    assert result_of(sound, name).status == "fail"


def test_a_data_test_of_what_was_not_built_is_skipped(sound: Home) -> None:
    steps = "model.northstar.int_funnel__steps"
    assert result_of(sound, "unique_key_int_funnel__steps", {steps: "success"}).status == "pass"
    for status in ("error", "skipped"):
        assert result_of(sound, "unique_key_int_funnel__steps", {steps: status}).status == "skipped"


def test_a_data_test_that_cannot_run_stops_the_night(sound: Home) -> None:
    with sound.warehouse.connect() as connection:
        connection.execute("drop table intermediate.int_funnel__steps")
    broken = result_of(sound, "unique_key_int_funnel__steps")
    assert broken.is_failure
    assert "Table with name int_funnel__steps does not exist" in broken.message


def test_every_data_test_is_compiled(template: Home) -> None:
    nodes = dbt.read_manifest(template.settings)["nodes"]
    known = {node_id for node_id, node in nodes.items() if node["resource_type"] == "test"}
    assert {test.unique_id for test in dbt.read_tests(template.settings)} == known


def test_a_data_test_that_counts_by_other_rules_is_refused() -> None:
    config = SimpleNamespace(fail_calc="count(*)", warn_if="!= 0", error_if="> 10", limit=None, severity="ERROR")
    with pytest.raises(NorthstarError, match="planted: a test counts its wrong rows"):
        data_tests.from_node(SimpleNamespace(name="planted", config=config))


def test_a_failure_is_told_at_once_and_what_was_skipped_for_it_last(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for file in ("models/a.sql", "seeds/a.csv"):
        (project / file).unlink()
    (project / "dbt_project.yml").write_text("name: northstar\nprofile: northstar\nmodel-paths: [models]\nversion: 1.0.0\n")
    (project / "models/first.sql").write_text("select 1 as x from nothing")
    (project / "models/second.sql").write_text("select * from {{ ref('first') }}")
    (project / "models/a.yml").write_text("models: []\n")
    (project / "profiles.yml").write_text("northstar: {target: d, outputs: {d: {type: duckdb, path: ':memory:'}}}\n")
    monkeypatch.setattr("orchestration.config.settings.DBT_PROJECT", project)
    settings = Settings(home=tmp_path / "home", landing=tmp_path, config_file=None, config=Config())
    failed, skipped = dbt.build(settings, full_refresh=False)
    assert (failed.name, failed.is_failure, skipped.name, skipped.status) == ("first", True, "second", "skipped")
    assert "Table with name nothing does not exist" in dbt.explain([failed])


# What is said of failures.


@pytest.mark.parametrize(
    ("status", "stops"),
    [
        ("success", False),
        ("pass", False),
        ("warn", False),
        ("skipped", False),
        ("fail", True),
        ("error", True),
        ("runtime error", True),
    ],
)
def test_which_results_stop_a_night(status: str, stops: bool) -> None:
    assert result(status).is_failure is stops


def test_failures_are_explained_one_a_line() -> None:
    text = dbt.explain(
        [
            result(
                "fail",
                resource_type="test",
                name="unique_x",
                failures=1234,
                message="Got 1234 results, configured to fail if != 0",
            ),
            result("error", name="fct_x", message="Runtime Error in model fct_x\n  Binder Error: no column y\n"),
            result(
                "error",
                name="fct_y",
                message="Runtime Error in model fct_y (models/core/fct_y.sql)\n  Conversion Error: 'x' is no number\n\n  …",
            ),
            result("error", name="silent"),
        ]
    )
    assert text.splitlines() == [
        "4 of the warehouse's models and tests failed:",
        "  test unique_x: 1,234 wrong rows",
        "  model fct_x: Binder Error: no column y",
        "  model fct_y: Conversion Error: 'x' is no number",
        "  model silent: it failed without a message",
    ]


# Dagster's events.


def translated(results: list[NodeResult]) -> list:
    unique_id = "dagster_dbt/unique_id"

    @dg.multi_asset(
        specs=[dg.AssetSpec(["core", name], metadata={unique_id: f"model.northstar.{name}"}) for name in ("x", "y")],
        check_specs=[dg.AssetCheckSpec("x_is_unique", asset=["core", "x"], metadata={unique_id: "test.northstar.x_is_unique"})],
    )
    def assets():
        yield from events(assets, results)

    return list(events(assets, results))


def test_a_built_model_is_a_materialization_with_its_rows() -> None:
    (found,) = translated([replace(result("success"), rows=7)])
    assert found.asset_key == dg.AssetKey(["core", "x"])
    assert found.metadata == {"seconds": 0.123, "dagster/row_count": 7}


def test_a_view_has_no_row_count() -> None:
    (found,) = translated([result("success", name="y")])
    assert found.metadata == {"seconds": 0.123}


def test_what_stands_is_an_event_that_says_so() -> None:
    model, check = translated(
        [
            replace(result("success"), rows=7, seconds=0, is_standing=True),
            replace(result("pass", resource_type="test", name="x_is_unique"), is_standing=True),
        ]
    )
    assert model.metadata == {"seconds": 0, "dagster/row_count": 7, "unchanged": True}
    assert check.passed
    assert check.metadata["unchanged"].value is True


def test_what_was_not_built_or_is_no_asset_has_no_event() -> None:
    results = [result("error"), result("skipped", name="y"), result("success", name="elsewhere")]
    assert translated([*results, result("skipped", resource_type="test", name="x_is_unique")]) == []


@pytest.mark.parametrize(
    ("status", "failures", "passed", "severity"),
    [
        ("pass", None, True, None),
        ("fail", 3, False, dg.AssetCheckSeverity.ERROR),
        ("error", None, False, dg.AssetCheckSeverity.ERROR),
        ("warn", 2, False, dg.AssetCheckSeverity.WARN),
    ],
)
def test_a_test_is_a_check_result(
    status: str, failures: int | None, passed: bool, severity: dg.AssetCheckSeverity | None
) -> None:
    """A warning of dbt stops nothing, and is no error in Dagster either."""
    (found,) = translated([result(status, resource_type="test", name="x_is_unique", failures=failures, message="said")])
    assert (found.asset_key, found.check_name, found.passed) == (dg.AssetKey(["core", "x"]), "x_is_unique", passed)
    assert found.metadata["wrong rows"].value == (failures or 0)
    assert found.metadata["expected"].value == 0
    assert found.metadata["message"].value == "said"
    if severity is not None:
        assert found.severity == severity
