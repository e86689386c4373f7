"""What marts may change from one night to the next: the declarations of dbt's models, and what a night makes of them."""

import json
import logging
from pathlib import Path

import duckdb
import pytest

from orchestration.base import digests
from orchestration.config.loading import load
from orchestration.night.run import Night
from tests import stages
from tests.integration.conftest import ask, at_home, copy_home, current


@pytest.fixture
def home(small_home, tmp_path) -> Path:
    return copy_home(small_home, tmp_path / "home")


def declare(home: Path, **properties: dict) -> None:
    """Change what the models of the home's dbt manifest declare: mart → its `deprecation_date` and `version`."""
    file = home / "dbt" / "target" / "manifest.json"
    manifest = json.loads(file.read_text())
    for mart, declared in properties.items():
        node = manifest["nodes"][f"model.northstar.{mart}"]
        node["deprecation_date"] = declared.get("deprecation_date")
        node["config"]["meta"]["version"] = declared.get("version", 1)
    file.write_text(json.dumps(manifest))
    stamp, parts = file.with_name("manifest.sha256"), (file, file.with_name("tests.json"), file.with_name("parsed.msgpack"))
    sizes = [part.stat().st_size for part in parts]
    stamp.write_text(f"{stamp.read_text().split(' ')[0]} {sizes}")


def remember(home: Path, mart: str, columns: dict[str, str | None]) -> None:
    """Make the current release one in which these columns of a mart had other types, or (None) did not exist."""
    file = home / "published" / "releases" / current(home)["release_id"] / "manifest.json"
    database = file.with_name("marts.duckdb")
    database.chmod(0o644)
    with duckdb.connect(str(database)) as connection:
        for name, type_ in columns.items():
            connection.execute(f"alter table {mart} drop if exists {name}")
            if type_:
                connection.execute(f"alter table {mart} add {name} {type_}")
    manifest = json.loads(file.read_text())
    manifest["marts_sha256"] = digests.of_file(database)
    record = manifest["marts"][mart]
    known = {column["name"]: column["type"] for column in record["columns"]} | columns
    record["columns"] = [{"name": name, "type": type_} for name, type_ in known.items() if type_]
    file.unlink()
    file.write_text(json.dumps(manifest))


def publish(home: Path) -> None:
    with at_home(home), Night(load()) as night:
        stages.publish(night)


def test_a_night_announces_what_a_new_version_changes_and_what_is_going(home, caplog):
    remember(home, "mart_mrr__month", {"closing_mrr": "DOUBLE", "gone": "VARCHAR", "arpa": None})
    declare(
        home,
        mart_mrr__month={"version": 2},
        mart_engagement__daily={"deprecation_date": "2099-12-31T00:00:00+00:00"},
        mart_funnel_exits__weekly={"deprecation_date": "2026-11-01T00:00:00+00:00"},
    )
    with caplog.at_level(logging.INFO, "northstar.night"):
        publish(home)
    after = current(home)
    assert after["marts"]["mart_mrr__month"]["version"] == 2
    assert after["left_out"]["mart_funnel_exits__weekly"] == "it was published until 2026-11-01"
    assert "mart_funnel_exits__weekly" not in after["marts"]
    told = [record.getMessage() for record in caplog.records if record.getMessage().startswith("schema: ")]
    assert told == [
        "schema: mart_mrr__month is version 2, was 1",
        "schema: mart_mrr__month.closing_mrr was DOUBLE and is DECIMAL(18,2)",
        "schema: mart_mrr__month.gone (VARCHAR) is gone",
        "schema: mart_mrr__month.arpa (DECIMAL(18,4)) is new",
        "schema: mart_engagement__daily is published until 2099-12-31",
    ]
    assert [f"schema: {change['detail']}" for change in after["schema_changes"]] == told[:-1]
    comment = ask(home, "select comment from duckdb_tables() where table_name = 'mart_engagement__daily'")[0][0]
    assert comment.startswith("One row per ")
    assert comment.endswith(" Published until 2099-12-31.")
