"""Dagster's home: its instance file is given once, and is the site's own from then on."""

from pathlib import Path

import pytest
import yaml

from orchestration import serving
from orchestration.base.errors import UserError
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


def test_install_leaves_what_a_site_has_changed(tmp_path: Path) -> None:
    found = settings(tmp_path)
    serving.install(found)
    installed = found.dagster_home / "dagster.yaml"
    installed.write_text("# ours\n")
    serving.install(found)
    assert installed.read_text() == "# ours\n"


@pytest.mark.parametrize(("text", "said"), [("{{", "not valid YAML"), ("garbage", "expected a table of settings")])
def test_an_instance_file_that_is_none_is_told(tmp_path: Path, text: str, said: str) -> None:
    found = settings(tmp_path)
    found.dagster_home.mkdir(parents=True)
    (found.dagster_home / "dagster.yaml").write_text(text)
    with pytest.raises(UserError, match=rf"dagster.yaml: {said}.*; correct it, or remove it to get the shipped one"):
        serving.install(found)
