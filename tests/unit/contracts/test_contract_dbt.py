"""dbt in process: the manifest that is handed over and kept, events while it runs, and the file lock that is given back."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from libraries import DBT, DBT_DUCKDB

PROFILE = """\
p:
  target: t
  outputs:
    t: {type: duckdb, path: build.duckdb, threads: 1}
"""
FILES = {
    "dbt_project.yml": "name: p\nversion: '1.0.0'\nconfig-version: 2\nprofile: p\nflags: {send_anonymous_usage_stats: false}\n",
    "profiles.yml": PROFILE,
    "seeds/s.csv": "id\n1\n2\n",
    "models/a.sql": "{{ config(materialized='table') }} select id from {{ ref('s') }}",
    "models/b.sql": "select id / 0 as id, missing from {{ ref('a') }}",
    "models/c.sql": "select * from {{ ref('b') }}",
    "models/a.yml": (
        "models: [{name: a, columns: [{name: id, data_tests: [not_null, {accepted_values: {arguments: {values: [1]}}}]}]}]\n"
    ),
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    monkeypatch.chdir(tmp_path)
    for variable in ("DBT_PROJECT_DIR", "DBT_TARGET_PATH", "DBT_LOG_PATH"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("DBT_PROFILES_DIR", str(tmp_path))
    return tmp_path


def invoke(*arguments: str, manifest: Any = None, callbacks: Any = ()) -> Any:
    from dbt.cli.main import dbtRunner

    quiet = ["--log-level", "none", "--log-level-file", "none"]
    return dbtRunner(manifest=manifest, callbacks=list(callbacks)).invoke([*arguments, *quiet])


def events(manifest: Any) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]], Any]:
    """What is told while dbt builds, the rows that its own connection finds meanwhile, and the outcome."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager

    told: list[tuple[Any, ...]] = []
    rows: list[tuple[Any, ...]] = []

    def listen(event: Any) -> None:
        if event.info.name != "NodeFinished":
            return
        node, result = event.data.node_info, event.data.run_result
        told.append((node.unique_id, node.node_name, node.resource_type, result.status, result.num_failures))
        assert isinstance(result.execution_time, float)
        assert isinstance(result.message, str)
        if node.materialized in {"table", "seed"}:
            cursor = DuckDBConnectionManager.env().conn.cursor()
            rows.append(cursor.execute(f"select '{node.node_name}', count(*) from {node.node_relation.alias}").fetchone())
            cursor.close()

    outcome = invoke("build", "--no-write-json", manifest=manifest, callbacks=[listen])
    return told, rows, outcome


def test_a_parsed_manifest_is_kept_built_from_and_reported_on_while_dbt_runs(project: Path) -> None:
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.contracts.graph.manifest import Manifest
    from dbt.parser.manifest import extended_mashumuro_decoder

    with DBT.contract("`parse` returns the manifest and writes manifest.json and partial_parse.msgpack"):
        parsed = invoke("parse")
        assert parsed.exception is None
        assert isinstance(parsed.result, Manifest)
        assert (project / "target" / "manifest.json").read_bytes()[:1] == b"{"
        kept = (project / "target" / "partial_parse.msgpack").read_bytes()
        assert kept[:1] not in {b"", b"\0"}
    with DBT.contract("a manifest is read from the msgpack, and dbtRunner takes it without parsing"):
        manifest = Manifest.from_msgpack(kept, decoder=extended_mashumuro_decoder)
        manifest.build_flat_graph()
        assert set(manifest.nodes) == set(parsed.result.nodes)
        (project / "models" / "a.sql").write_text("this is not parsed again {{")
        told, rows, outcome = events(manifest)
    with DBT.contract("NodeFinished tells name, kind, status, failures and seconds of each node that ran"):
        statuses = {unique_id.split(".")[2]: (kind, status) for unique_id, _, kind, status, _ in told}
        assert statuses["s"] == ("seed", "success")
        assert statuses["a"] == ("model", "success")
        assert statuses["not_null_a_id"] == ("test", "pass")
        assert {(status, failures) for _, _, kind, status, failures in told if kind == "test"} == {("pass", 0), ("fail", 1)}
    with DBT.contract("results hold every node, the skipped included"):
        assert outcome.exception is None
        results = {result.node.name: str(result.status) for result in outcome.result.results}
        assert results["b"] == results["c"] == "skipped"
    with DBT_DUCKDB.contract("the manager's connection answers while dbt runs, and close_all_connections gives the file back"):
        assert rows == [("s", 2), ("a", 2)]
        opening = "import duckdb, sys; duckdb.connect(sys.argv[1]).close()"
        opened = [sys.executable, "-c", opening, str(project / "build.duckdb")]
        assert subprocess.run(opened, capture_output=True, check=False).returncode != 0, "dbt holds no lock any more"
        DuckDBConnectionManager.close_all_connections()
        subprocess.run(opened, check=True)


def test_an_error_of_a_model_is_in_the_results_and_one_of_dbt_is_an_exception(project: Path) -> None:
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager

    (project / "models" / "a.yml").unlink()
    with DBT.contract("a model's error is a result with a message below a heading; what cannot be parsed is an exception"):
        failed = invoke("build", "--no-write-json")
        results = {result.node.name: result for result in failed.result.results}
        assert (failed.exception, str(results["b"].status), str(results["c"].status)) == (None, "error", "skipped")
        assert "Error in model b" in results["b"].message
        assert "Binder Error" in results["b"].message
        (project / "models" / "a.sql").write_text("{{")
        assert invoke("parse").exception is not None
    DuckDBConnectionManager.close_all_connections()


def test_a_result_without_what_is_read_of_it_breaks_the_contract() -> None:
    with pytest.raises(AssertionError, match="look at orchestration/warehouse/dbt"), DBT.contract("fields of a result"):
        assert object().unique_id  # type: ignore[attr-defined]
