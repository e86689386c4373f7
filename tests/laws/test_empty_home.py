"""Tests leave nothing in the user's home, and a run in which one does fails."""

import os
from pathlib import Path

import pytest

from tests.conftest import EmptyHome


@pytest.fixture
def home(monkeypatch):
    # Set anew by the plugin, and restored afterwards.
    monkeypatch.setenv("HOME", os.environ["HOME"])
    monkeypatch.setenv("MPLCONFIGDIR", os.environ["MPLCONFIGDIR"])
    plugin = EmptyHome()
    yield plugin
    plugin.pytest_unconfigure()


def test_fonts_may_stay(home):
    fonts = Path(os.environ["MPLCONFIGDIR"])
    fonts.mkdir()
    (fonts / "fontlist.json").touch()
    assert home.left() == []
    home.pytest_sessionfinish(session := Ended())
    assert session.exitstatus == pytest.ExitCode.OK


def test_what_is_left_fails_the_run_and_is_named(home):
    (Path.home() / ".dagster").mkdir()
    assert home.left() == [".dagster"]
    home.pytest_sessionfinish(session := Ended())
    assert session.exitstatus == pytest.ExitCode.TESTS_FAILED


class Ended:
    """A session of tests that all passed."""

    exitstatus = pytest.ExitCode.OK
