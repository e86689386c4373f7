"""Homes in which whole nights have run, each built once for all tests that only read it."""

import json
import os
import shutil
from contextlib import chdir
from pathlib import Path
from typing import Any
from unittest.mock import patch

import duckdb
import pytest

from orchestration.settings import load
from orchestration.warehouse import FoldPlan
from tests.conftest import Done, environment_of

LAST_DAY = "2026-11-20"


def current(home: Path) -> dict[str, Any]:
    """Manifest of the current release."""
    pointer = json.loads((home / "published" / "current.json").read_text())
    return json.loads((home / "published" / pointer["path"] / "manifest.json").read_text())


def digests(home: Path) -> dict[str, str]:
    """Digest of every mart of the current release."""
    return {mart: record["digest"] for mart, record in current(home)["marts"].items()}


def ask(home: Path, sql: str) -> list[tuple[Any, ...]]:
    """Rows of a query on the published file, opened as any reader would."""
    with duckdb.connect(str(home / "published" / "marts.duckdb"), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def look(home: Path, sql: str) -> list[tuple[Any, ...]]:
    """Rows of a query on the build file."""
    with duckdb.connect(str(home / "warehouse.duckdb"), read_only=True) as connection:
        connection.execute("set TimeZone = 'UTC'")
        return connection.execute(sql).fetchall()


def copy_home(home: Path, target: Path) -> Path:
    """Copy a home, links included, for a test that changes it."""
    shutil.copytree(home, target, symlinks=True)
    return target


def run_stages(home: Path, *, publish: bool = True) -> FoldPlan:
    """A night stage by stage: what Dagster and the command line run, without the ten seconds that they take."""
    from orchestration.night import Night

    with patch.dict(os.environ, environment_of(home), clear=True), chdir(home), Night(load()) as night:
        night.ingest()
        night.erase()
        plan = night.plan()
        built = night.build()
        night.value()
        night.train()
        night.score()
        built += night.build_scored()
        assert [result.name for result in built if result.is_failure] == []
        if publish:
            night.candidate()
            night.validate()
            night.publish()
    return plan


@pytest.fixture(scope="session")
def small_home(built_once, prepared, northstar) -> Path:
    """A company of 45 days, built up to the day before the last."""

    def fill(home: Path) -> None:
        copy_home(prepared, home)
        _succeed(northstar(home, "simulate", "--days", "45", "--users", "150", "--end", LAST_DAY))
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


def _succeed(done: Done) -> Done:
    assert done.returncode == 0, done.stdout + done.stderr
    return done
