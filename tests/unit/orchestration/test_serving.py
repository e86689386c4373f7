"""Dagster's home: its instance file is kept up to date until a site changes it; what a changed one lacks is said."""

import hashlib
from pathlib import Path

import pytest
import yaml

from orchestration import serving
from orchestration.base.errors import UserError
from orchestration.cli.home import prepare_home
from orchestration.config.schema import Config
from orchestration.config.settings import Settings


def settings(home: Path) -> Settings:
    return Settings(home=home, landing=home / "landing", config_file=None, config=Config())


def test_install_gives_the_instance_file(tmp_path: Path) -> None:
    found = settings(tmp_path / "new" / "home")
    serving.install(found)
    installed = found.dagster_home / "dagster.yaml"
    shipped = Path(serving.__file__).with_name("dagster.yaml")
    assert installed.read_bytes() == shipped.read_bytes()
    assert yaml.safe_load(installed.read_text())["telemetry"] == {"enabled": False}


def test_a_changed_instance_file_has_a_new_version() -> None:
    shipped = Path(serving.__file__).with_name("dagster.yaml").read_bytes()
    assert hashlib.sha256(shipped).hexdigest() == serving.SHIPPED[serving.NEWEST], (
        "raise the version, and add the digest to SHIPPED"
    )
    assert shipped.decode().splitlines()[0] == f"# northstar instance file, version {serving.NEWEST}"


def put(found: Settings, text: str) -> Path:
    found.dagster_home.mkdir(parents=True)
    installed = found.dagster_home / "dagster.yaml"
    installed.write_text(text)
    return installed


def test_an_older_file_that_nobody_has_changed_is_replaced_in_silence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = "telemetry: {enabled: false}\n"
    monkeypatch.setitem(serving.SHIPPED, 1, hashlib.sha256(before.encode()).hexdigest())
    found = settings(tmp_path)
    installed = put(found, before)
    assert serving.install(found) is None
    assert installed.read_bytes() == Path(serving.__file__).with_name("dagster.yaml").read_bytes()


def test_a_file_of_the_newest_version_is_not_written_again(tmp_path: Path) -> None:
    found = settings(tmp_path)
    serving.install(found)
    installed = found.dagster_home / "dagster.yaml"
    written = installed.stat().st_ino
    assert serving.install(found) is None
    assert installed.stat().st_ino == written


def test_a_changed_file_is_kept_and_what_it_lacks_is_named(tmp_path: Path) -> None:
    found = settings(tmp_path)
    text = "telemetry: {}\nrun_monitoring:\n  enabled: true\nrun_coordinator: {class: Ours}\nconcurrency:\n"
    installed = put(found, text)
    notice = serving.install(found)
    assert installed.read_text() == text
    assert notice is not None
    assert f"{installed}: changed by this site and kept" in notice
    lacking = (
        "telemetry.enabled, event_log_storage, run_monitoring.start_timeout_seconds, run_monitoring.poll_interval_seconds,"
        " run_monitoring.free_slots_after_run_end_seconds."
    )
    assert f"it lacks {lacking}" in notice
    assert f"# northstar instance file, version {serving.NEWEST}" in notice


def test_the_marker_of_the_newest_version_acknowledges_what_is_missing(tmp_path: Path) -> None:
    found = settings(tmp_path)
    installed = put(found, "# northstar instance file, version 2\ntelemetry: {enabled: false}\n")
    assert "event_log_storage" in (serving.install(found) or "")
    installed.write_text(f"# northstar instance file, version {serving.NEWEST}\ntelemetry: {{enabled: false}}\n")
    assert serving.install(found) is None


def test_a_changed_file_that_lacks_nothing_is_kept_without_a_word(tmp_path: Path) -> None:
    found = settings(tmp_path)
    shipped = yaml.safe_load(Path(serving.__file__).with_name("dagster.yaml").read_bytes())
    installed = put(found, yaml.safe_dump(shipped | {"retention": {"tick": {"purge_after_days": 30}}}))
    before = installed.read_bytes()
    assert serving.install(found) is None
    assert installed.read_bytes() == before


def test_commands_say_what_the_file_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setattr("orchestration.serving.install", lambda _: "dagster.yaml lacks [telemetry]")
    monkeypatch.setattr("orchestration.config.settings.Settings.export", lambda _: None)
    monkeypatch.setattr("orchestration.warehouse.dbt.prepare", lambda _: None)
    prepare_home(settings(tmp_path))
    assert capsys.readouterr().err == "dagster.yaml lacks [telemetry]\n"


@pytest.mark.parametrize(
    ("text", "said"), [("{{", "not valid YAML"), ("\x00", "not valid YAML"), ("garbage", "expected a table of settings")]
)
def test_an_instance_file_that_is_none_is_told(tmp_path: Path, text: str, said: str) -> None:
    found = settings(tmp_path)
    found.dagster_home.mkdir(parents=True)
    (found.dagster_home / "dagster.yaml").write_text(text)
    with pytest.raises(UserError, match=rf"dagster.yaml: {said}.*; correct it, or remove it to get the shipped one"):
        serving.install(found)
