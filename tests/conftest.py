"""What all tests share: where the real data lies, and homes for whole nights."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
REAL_DATA = (PROJECT / os.environ.get("NORTHSTAR_TEST_DATA", "../shared/data")).resolve()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "real_data: needs the real data of NORTHSTAR_TEST_DATA (default ../shared/data)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect tests of real data where there is none; in CI its absence is a failure, not a reason to test less."""
    needing = [item for item in items if item.get_closest_marker("real_data")]
    if REAL_DATA.is_dir() or not needing:
        return
    if os.environ.get("CI") == "true":
        raise pytest.UsageError(f"{REAL_DATA} does not exist, and {len(needing)} tests need it; set NORTHSTAR_TEST_DATA")
    config.hook.pytest_deselected(items=needing)
    items[:] = [item for item in items if item not in needing]
    config.stash[_DESELECTED] = len(needing)


_DESELECTED = pytest.StashKey[int]()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if count := config.stash.get(_DESELECTED, 0):
        terminalreporter.write_line(f"{count} tests of real data deselected: {REAL_DATA} does not exist (NORTHSTAR_TEST_DATA)")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the real data sets."""
    return REAL_DATA


Northstar = Callable[..., "subprocess.CompletedProcess[str]"]


def environment_of(home: Path, **more: str) -> dict[str, str]:
    """Environment of a process of its own on a home: nothing that other tests have set for Northstar or its libraries."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("NORTHSTAR_", "DAGSTER_", "DBT_"))}
    return {**inherited, "NORTHSTAR_HOME": str(home), "COLUMNS": "200", **more}


@pytest.fixture(scope="session")
def northstar_process() -> Northstar:
    """Give the command line in a process of its own, as a person has it: a home, arguments, and environment by name."""

    def run(home: Path, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-c", "from orchestration.cli import main; main()", *arguments],
            cwd=home,
            env=environment_of(home, **environment),
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    return run
