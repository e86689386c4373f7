"""How long each file of tests takes is written down, so that the longest start first."""

import json
from pathlib import Path

import pytest

from tests.conftest import DURATIONS, Recorder


def unknown(repository: Path, recorded: dict[str, int]) -> list[str]:
    return [path for path in recorded if not (repository / path).is_file()]


def test_only_files_that_are_there_are_written_down(repository):
    recorded = json.loads(DURATIONS.read_text(encoding="utf-8"))
    assert unknown(repository, recorded) == []
    assert unknown(repository, {**recorded, "tests/test_gone.py": 9}) == ["tests/test_gone.py"]


def test_the_recorder_keeps_what_was_not_run_and_drops_what_is_gone(tmp_path, monkeypatch):
    path = tmp_path / "durations.json"
    path.write_text('{"tests/conftest.py": 7, "tests/test_gone.py": 9}', encoding="utf-8")
    monkeypatch.setattr("tests.conftest.DURATIONS", path)
    recorder = Recorder()
    for when, took in (("setup", 2.2), ("call", 1.4)):
        report = pytest.TestReport("tests/laws/conftest.py::test_x", ("", 0, ""), {}, "passed", None, when, duration=took)
        recorder.pytest_runtest_logreport(report)
    recorder.pytest_sessionfinish()
    assert json.loads(path.read_text(encoding="utf-8")) == {"tests/conftest.py": 7, "tests/laws/conftest.py": 4}
