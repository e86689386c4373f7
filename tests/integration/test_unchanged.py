"""Nights in which nothing has changed: they say so, publish nothing and cost next to nothing."""

import json
import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import patch

import dagster as dg
import pytest

from orchestration.config.loading import load
from orchestration.definitions import build
from orchestration.night.run import Night
from orchestration.night.unchanged import standing
from tests.integration.conftest import at_home, copy_home, current

# CPU seconds: most of them are imports.
LIMIT = 5


@pytest.fixture
def home(next_day, tmp_path) -> Iterator[Path]:
    """A home that has published everything that has landed."""
    copied = copy_home(next_day, tmp_path / "home")
    with at_home(copied):
        yield copied


def ask() -> str | None:
    """Release that stands, by the home that the environment names."""
    with Night(load()) as night:
        release = standing(night)
    return None if release is None else release.release_id


def test_a_night_without_news_says_so_and_publishes_nothing(home, northstar):
    before = current(home)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    night = northstar(home, "nightly")
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert night.returncode == 0, night.stdout + night.stderr
    assert f"nothing has changed since release {before['release_id']}, which stands" in night.stdout
    assert current(home) == before
    assert now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime < LIMIT


def lands(home: Path) -> None:
    day = sorted((home / "landing" / "orders").iterdir())[-1]
    (day / "late.jsonl").write_text("")


def is_taken_away(home: Path) -> None:
    day = sorted((home / "lake" / "orders").iterdir())[-1]
    manifest = next(day.glob("*.json"))
    manifest.unlink()


def asks_to_be_forgotten(home: Path) -> None:
    ledger = home / "erasures"
    ledger.mkdir(exist_ok=True)
    with patch("orchestration.landing.erasure.Ledger.pending", ["somebody"]):
        assert ask() is None


def configures(home: Path) -> None:
    (home / "northstar.toml").write_text('gross_margin = "0.25"\n')


def promotes_a_model(_: Path) -> None:
    with patch("orchestration.ml_steps.churn.Churn.model_version", lambda *_: "another"):
        assert ask() is None


def updates_the_code(_: Path) -> None:
    with patch("orchestration.night.run.Night.code_version", "another"):
        assert ask() is None


def ends_a_mart(home: Path) -> None:
    file = home / "published" / "releases" / current(home)["release_id"] / "manifest.json"
    told = json.loads(file.read_text())
    told["marts"]["mart_mrr__month"]["published_until"] = "2026-01-01"
    file.chmod(0o644)
    file.write_text(json.dumps(told))


def loses_the_release(home: Path) -> None:
    (home / "published" / "marts.duckdb").unlink()
    (home / "published" / "current.json").unlink()


@pytest.mark.parametrize("change", [lands, is_taken_away, configures, ends_a_mart, loses_the_release])
def test_whatever_changes_makes_a_night(home, change: Callable[[Path], None]):
    assert ask() == current(home)["release_id"]
    change(home)
    assert ask() is None


@pytest.mark.parametrize("change", [asks_to_be_forgotten, promotes_a_model, updates_the_code])
def test_a_request_a_model_and_new_code_make_a_night(home, change: Callable[[Path], None]):
    change(home)
    assert ask() == current(home)["release_id"]


def test_the_schedule_skips_a_night_without_news(home):
    [schedule] = build(load()).schedules
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_schedule_context(instance)
        skipped = schedule.evaluate_tick(context)
        assert skipped.skip_message == f"nothing has changed since release {current(home)['release_id']}, which stands"
        lands(home)
        assert len(schedule.evaluate_tick(context).run_requests) == 1
