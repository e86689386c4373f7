"""Running again never changes the truth: whatever the order, the repetitions and the accidents, the warehouse ends the same.

A simulated quarter: its nights in odd portions, and nights of the command line that are killed at some moment. In every test
run `tests/dbt/test_any_order_of_states.py` and `tests/unit/orchestration/test_folding.py` show the same of drawn files without
dbt, and `tests/unit/publishing/test_release_crashes.py` of every step of a publication of two marts.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest

from orchestration.landing.lake import Lake
from tests.conftest import environment_of
from tests.integration.conftest import LAST_DAY, ask, copy_home, current, digests, look, run_stages, warehouse_digests

pytestmark = pytest.mark.long

DAYS = 91
LAST = date.fromisoformat(LAST_DAY)
FIRST = LAST - timedelta(days=DAYS - 1)


@pytest.fixture(scope="module")
def quarter(built_once, prepared, northstar) -> Path:
    """A quarter of a small company, landed and not looked at."""

    def fill(home: Path) -> None:
        copy_home(prepared, home)
        assert northstar(home, "simulate", "--days", str(DAYS), "--users", "120", "--end", LAST_DAY).returncode == 0

    return built_once("quarter", fill)


@pytest.fixture(scope="module")
def at_once(built_once, quarter) -> Path:
    """The quarter in one night."""

    def fill(home: Path) -> None:
        copy_home(quarter, home)
        run_stages(home)

    return built_once("at_once", fill)


def test_days_in_any_order_repeated_and_corrected_end_in_the_same_warehouse(quarter, at_once, tmp_path):
    home, shuffled = copy_home(quarter, tmp_path / "home"), list(range(DAYS))
    landing, waiting = home / "landing", tmp_path / "waiting"
    landing.rename(waiting)
    chance = random.Random(20)  # noqa: S311 (an order, not a secret)
    chance.shuffle(shuffled)
    portions = [shuffled[:40], shuffled[40:70], shuffled[70:]]
    # An arrival day whose files were wrong at first: those of another day, with facts that this day never had.
    wrong, instead = portions[0][0], portions[2][0]
    for number, portion in enumerate(portions):
        for shift in portion:
            land(waiting, landing, FIRST + timedelta(days=shift))
        if number == 0:
            land(waiting, landing, FIRST + timedelta(days=wrong), of=FIRST + timedelta(days=instead))
        if number == 1:
            land(waiting, landing, FIRST + timedelta(days=wrong))
        # Half a company may look odd to the gate; what counts here is what was built.
        assert ("everything is built" in run_stages(home, publish=False)["plan"]) == (number == 0)
    assert warehouse_digests(home) == warehouse_digests(at_once)
    run_stages(home, days=(FIRST + timedelta(days=20), FIRST + timedelta(days=40)), publish=False)
    assert warehouse_digests(home) == warehouse_digests(at_once)


def land(waiting: Path, landing: Path, day: date, *, of: date | None = None) -> None:
    """Let everything of a day arrive, or another day's files in the place of its own.

    Where that day has none its own arrive: landing zones are cleared, so that a folder which vanishes withdraws nothing.
    """
    for source in sorted(path.name for path in waiting.iterdir() if path.is_dir()):
        own, other = (waiting / source / f"dt={chosen}" for chosen in (day, of or day))
        if own.is_dir():
            target = landing / source / own.name
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(other if other.is_dir() else own, target)


def test_a_night_killed_at_any_moment_and_run_again_ends_in_the_same(quarter, at_once, northstar, tmp_path):
    home = copy_home(quarter, tmp_path / "home")
    run_stages(home, as_of=LAST - timedelta(days=7))
    before = current(home)
    chance, killed = random.Random(), []  # noqa: S311
    for last_moment in (6.0, 14.0, 24.0):
        moment = chance.uniform(2.0, last_moment)
        process = subprocess.Popen(
            [sys.executable, "-c", "from orchestration.cli import main; main()", "nightly"],
            cwd=home,
            env=environment_of(home),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        time.sleep(moment)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            killed.append(moment)
        process.wait()
        # Readers see one whole release, the old or, when the night was faster, the new one.
        release = current(home)
        assert ask(home, "select release_id from marts._publication") == [(release["release_id"],)]
        assert release["release_id"] == before["release_id"] or release["data_through"] == LAST_DAY
        # A partition of the lake is there whole or not at all.
        for source in ("events", "orders"):
            for path in Lake(home).files(source):
                assert look_at(path) > 0
    assert killed, "no night was caught alive"
    night = northstar(home, "nightly")
    assert night.returncode == 0, f"after kills at {killed} s: {night.stdout}{night.stderr}"
    assert warehouse_digests(home) == warehouse_digests(at_once), f"after kills at {killed} s"
    assert digests(home) == digests(at_once)
    assert look(home, "select count(*) from control.affected_visitor_days") == [(0,)]


def look_at(path: Path) -> int:
    with duckdb.connect() as connection:
        rows = connection.execute("select count(*) from read_parquet(?)", [str(path)]).fetchone()
    return rows[0] if rows else 0
