"""Homes in which whole nights have run, each built once for all tests that only read it."""

import io
import json
import os
import shutil
import sys
from collections.abc import Callable
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import duckdb
import pytest
from filelock import FileLock

from tests.conftest import environment_of

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


@dataclass(frozen=True)
class Done:
    """What a command left: its exit code and what it said."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture(scope="session")
def northstar():
    """Run the command line in this process: dagster, dbt and GX are imported once for all nights, 12 s each time."""
    from orchestration.cli import main

    def run(home: Path, *arguments: str) -> Done:
        out, err, code = io.StringIO(), io.StringIO(), 0
        environment = environment_of(home)
        with (
            patch.dict(os.environ, environment, clear=True),
            patch.object(sys, "argv", ["northstar", *arguments]),
            chdir(home),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            try:
                main()
            except SystemExit as end:
                code = int(end.code or 0)
        return Done(code, out.getvalue(), err.getvalue())

    return run


@pytest.fixture(scope="session")
def built_once(tmp_path_factory, worker_id) -> Callable[[str, Callable[[Path], None]], Path]:
    """Build a home once for all workers of a test run: the first that asks builds it, the others wait."""
    base = tmp_path_factory.getbasetemp()
    shared = base if worker_id == "master" else base.parent

    def build(name: str, fill: Callable[[Path], None]) -> Path:
        home = shared / name
        with FileLock(shared / f"{name}.lock"):
            if not (shared / f"{name}.done").exists():
                shutil.rmtree(home, ignore_errors=True)
                fill(home)
                (shared / f"{name}.done").touch()
        return home

    return build


@pytest.fixture(scope="session")
def prepared(built_once, northstar) -> Path:
    """A home with the dbt manifest and nothing else: copied, it spares its night the parse."""

    def fill(home: Path) -> None:
        home.mkdir()
        # One key for all copies: erased persons are called alike in homes that are compared.
        (home / "pseudonym.key").write_text("the key of the homes of this test run\n")
        _succeed(northstar(home, "prepare"))

    return built_once("prepared", fill)


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
