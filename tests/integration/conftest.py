"""Homes in which whole nights have run, each built once for all tests that only read it."""

import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import duckdb
import pytest

from orchestration.config.loading import load
from orchestration.publishing.manifest import table_digest
from tests import stages
from tests.conftest import Done, environment_of
from tests.integration import zoe
from tests.oracles import restatements
from tests.oracles.restatements import Figure

if TYPE_CHECKING:
    from dagster import AssetKey, DagsterInstance, Definitions

LAST_DAY = "2026-11-20"


def current(home: Path) -> dict[str, Any]:
    """Manifest of the current release."""
    pointer = json.loads((home / "published" / "current.json").read_text())
    return json.loads((home / "published" / pointer["path"] / "manifest.json").read_text())


LEDGER = "mart_restatements__release"


def digests(home: Path) -> dict[str, str]:
    """Digest of every mart of the current release but the ledger, which tells of the releases that there were before."""
    return {mart: record["digest"] for mart, record in current(home)["marts"].items() if mart != LEDGER}


def restated(home: Path, *, by: str | None = None) -> dict[Figure, tuple[float | None, float | None]]:
    """Figures that the ledger says the current release restated, for one cause or all: what they were and are."""
    rows = ask(
        home,
        f"select mart, series, period, period_start, measure, value_before, value_after from marts.{LEDGER}"
        f" where release_id = '{current(home)['release_id']}' and '{by or ''}' in ('', cause)",
    )
    return {
        (mart, series, period, start, measure): (before, after) for mart, series, period, start, measure, before, after in rows
    }


def restated_in_truth(before: Path, after: Path) -> dict[Figure, tuple[float | None, float | None]]:
    """The same of the current releases of two homes, by the oracle."""
    from orchestration.marts import read_specs
    from orchestration.warehouse.dbt import read_manifest

    with at_home(after):
        grains = {mart: spec.grain for mart, spec in read_specs(read_manifest(load())).items()}
    through = tuple(date.fromisoformat(current(home)["data_through"]) for home in (before, after))
    return restatements.restated(*(home / "published" / "marts.duckdb" for home in (before, after)), grains, through)


def ask(home: Path, sql: str) -> list[tuple[Any, ...]]:
    """Rows of a query on the published file, opened as any reader would."""
    with duckdb.connect(str(home / "published" / "marts.duckdb"), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def look(home: Path, sql: str) -> list[tuple[Any, ...]]:
    """Rows of a query on the build file."""
    with duckdb.connect(str(home / "warehouse.duckdb"), read_only=True) as connection:
        connection.execute("set TimeZone = 'UTC'")
        return connection.execute(sql).fetchall()


def warehouse_digests(home: Path) -> dict[str, str]:
    """Order-free digest of every table that dbt built, whatever its layer."""
    with duckdb.connect(str(home / "warehouse.duckdb"), read_only=True) as connection:
        connection.execute("set TimeZone = 'UTC'")
        tables = connection.execute(
            "select schema_name, table_name from duckdb_tables()"
            " where schema_name in ('staging', 'intermediate', 'core', 'marts') order by all"
        ).fetchall()
        return {f"{schema}.{table}": table_digest(connection, f'"{schema}"."{table}"') for schema, table in tables}


@contextmanager
def dagster_of(home: Path) -> "Iterator[DagsterInstance]":
    """The Dagster instance of a home, as its nights and its UI have it."""
    from dagster import DagsterInstance

    with patch.dict(os.environ, DAGSTER_HOME=str(home / "dagster")), DagsterInstance.get() as instance:
        yield instance


def dagster_in(folder: Path) -> "DagsterInstance":
    """A Dagster instance of its own, without the default telemetry, which writes into the user's home; use as a context."""
    from dagster import DagsterInstance

    return DagsterInstance.local_temp(str(folder), overrides={"telemetry": {"enabled": False}})


@contextmanager
def at_home(home: Path) -> Iterator[None]:
    """The environment and the current folder of a process of a home."""
    with patch.dict(os.environ, environment_of(home), clear=True), chdir(home):
        yield


def copy_home(home: Path, target: Path) -> Path:
    """Copy a home, links included, for a test that changes it."""
    shutil.copytree(home, target, symlinks=True)
    return target


class _Details(logging.Handler):
    """Keeps what each stage of a night said when it was over."""

    def __init__(self) -> None:
        super().__init__()
        self.details: dict[str, str] = {}

    def emit(self, record: logging.LogRecord) -> None:
        stage = getattr(record, "stage", None)
        if stage is not None:
            self.details[stage.name] = stage.detail


@contextmanager
def _watched() -> "Iterator[dict[str, str]]":
    """Stage → what it said when it was over."""
    watching, logger = _Details(), logging.getLogger("northstar.night")
    logger.addHandler(watching)
    logger.setLevel(logging.INFO)
    try:
        yield watching.details
    finally:
        logger.removeHandler(watching)


def run_stages(
    home: Path,
    *,
    days: tuple[date, date] | None = None,
    as_of: date | None = None,
    anew: bool = False,
    publish: bool = True,
) -> dict[str, str]:
    """A night stage by stage, without the command line and Dagster, which take about as long again: stage → what it said.

    days: first and last arrival day of a backfill. as_of and anew are those of `intake.plan`.
    """
    from orchestration.night.run import Night

    again = days and [days[0] + timedelta(days=shift) for shift in range((days[1] - days[0]).days + 1)]
    with at_home(home), Night(load()) as night, _watched() as details:
        stages.build(night, again, as_of=as_of, anew=anew)
        if publish:
            stages.publish(night)
    return details


@pytest.fixture(scope="session")
def small_home(built_once, prepared, northstar) -> Path:
    """A company of 45 days, built up to the day before the last; Zoe, who will ask to be forgotten, is among its persons."""

    def fill(home: Path) -> None:
        copy_home(prepared, home)
        _succeed(northstar(home, "simulate", "--days", "45", "--users", "150", "--end", LAST_DAY))
        zoe.land(home, zoe.LANDED)
        # Her files are short: one bad row is more than the usual share.
        (home / "northstar.toml").write_text("max_quarantine_ratio = 1\n")
        _succeed(northstar(home, "nightly", "--as-of", "2026-11-19"))

    return built_once("small", fill)


@pytest.fixture(scope="session")
def company_home(built_once, prepared, northstar) -> Path:
    """Half the company that `make nightly` simulates, after its first night."""

    def fill(home: Path) -> None:
        copy_home(prepared, home)
        _succeed(northstar(home, "simulate", "--users", "1000", "--end", LAST_DAY))
        (home / "night.txt").write_text(_succeed(northstar(home, "nightly")).stdout)

    return built_once("company", fill)


# The run of `next_day`, and the folder beside it that holds the home as it was when this run's candidate was built.
WAITING = "waiting"


@pytest.fixture(scope="session")
def next_day(built_once, small_home) -> Path:
    """The small home a night later, which brings the newest day and a fact of one long over.

    `night.json` is what each stage said.
    """
    from orchestration.night import releasing
    from orchestration.night.run import Night

    def fill(home: Path) -> None:
        copy_home(small_home, home)
        # Beside what the simulation has of the day: somebody whom nobody knew.
        (home / "landing" / "events" / f"dt={LAST_DAY}" / "late.jsonl").write_text(
            '{"event_id": "late-1", "event": "page_viewed", "occurred_at": "2026-11-04T02:00:00Z",'
            ' "anonymous_id": "late-visitor"}\n'
        )
        with at_home(home), _watched() as details:
            with Night(load(), run_id=WAITING) as night:
                stages.build(night)
                releasing.candidate(night)
            shutil.rmtree(home.with_name(WAITING), ignore_errors=True)
            copy_home(home, home.with_name(WAITING))
            with Night(load(), run_id=WAITING) as night:
                releasing.validate(night)
                releasing.publish(night)
        (home / "night.json").write_text(json.dumps(details))

    return built_once("next_day", fill)


@pytest.fixture(scope="session")
def waiting(next_day) -> Callable[[Path], Path]:
    """Give a function that copies that home as it was while the candidate of its second night waited for the gate."""

    def copy(target: Path) -> Path:
        copy_home(next_day.with_name(WAITING), target)
        state = target / "runs" / f"{WAITING}.json"
        # A run knows its candidate by its path.
        state.write_text(state.read_text().replace(str(next_day), str(target)))
        return target

    return copy


CORRECTED = "landing/events/dt=2026-11-12"


def all_but_the_ingest(definitions: "Definitions") -> set["AssetKey"]:
    """What Dagster runs at once when the ingest of the arrival days of a backfill is over."""
    from dagster import AssetKey

    return definitions.resolve_asset_graph().materializable_asset_keys - {AssetKey(["lake", "arrivals"])}


@pytest.fixture(scope="session")
def corrected(built_once, next_day, tmp_path_factory) -> Path:
    """That home after a corrected file, which lacks some of the events, was ingested and Dagster has run all that follows."""
    from orchestration.definitions import build
    from orchestration.night import intake
    from orchestration.night.run import Night

    def fill(home: Path) -> None:
        copy_home(next_day, home)
        landed = next((home / CORRECTED).glob("*.parquet"))
        with duckdb.connect() as connection:
            connection.execute(f"copy (select * from '{landed}' where event_id not like '%7') to '{landed}.new' (format parquet)")
        Path(f"{landed}.new").replace(landed)
        settings = load({"NORTHSTAR_HOME": str(home)}, directory=home)
        with _watched() as details, Night(settings) as night:
            intake.ingest(night)
        assert details["ingest"].startswith("1 arrival day,")
        definitions = build(settings)
        with dagster_in(tmp_path_factory.mktemp("dagster")) as instance:
            job = definitions.resolve_job_def("nightly")
            assert job.execute_in_process(instance=instance, asset_selection=list(all_but_the_ingest(definitions))).success

    return built_once("corrected", fill)


@pytest.fixture(scope="session")
def tiny_home(built_once, prepared) -> Path:
    """A company of one day with a few facts of all kinds, after its first night."""
    from tests.integration.tiny import Company, land_all

    def fill(home: Path) -> None:
        company = Company(copy_home(prepared, home))
        land_all(company)
        company.night()

    return built_once("tiny", fill)


@pytest.fixture(scope="session")
def refunded_home(built_once, tiny_home) -> Path:
    """The tiny home a night later, which brings refunds; `warned.txt` is what the night warned of."""
    from tests.integration.tiny import Company, land_refunds

    def fill(home: Path) -> None:
        company = Company(copy_home(tiny_home, home))
        land_refunds(company)
        company.night()
        (home / "warned.txt").write_text("".join(f"{line}\n" for line in company.warned))

    return built_once("refunded", fill)


def _succeed(done: Done) -> Done:
    assert done.returncode == 0, done.stdout + done.stderr
    return done
