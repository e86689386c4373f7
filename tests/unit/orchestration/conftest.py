"""Homes below the test's folder, and the dbt project parsed and compiled once for the test run."""

import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from orchestration.config.loading import load
from orchestration.warehouse import data_tests, dbt
from orchestration.warehouse.incremental import Incremental
from tests.unit.orchestration.harness import BOT_EVENTS, FUNNELS, CompiledChain, Home, environment_restored, event


@pytest.fixture
def make_home(tmp_path: Path) -> Callable[..., Home]:
    """Homes below the test's folder, by name."""

    def make(name: str = "one", **config: Any) -> Home:
        return Home(tmp_path / name, **config)

    return make


@pytest.fixture
def folding_home(make_home: Callable[..., Home]) -> Callable[..., Home]:
    """Homes with the configuration under which the chain was compiled."""
    return lambda name="one": make_home(name, bot_events_per_day=BOT_EVENTS, funnels=FUNNELS)


@pytest.fixture(scope="session")
def template(built_once: Callable[[str, Callable[[Path], None]], Path], prepared: Path) -> Home:
    """A home under the configuration of the chain in which one event was built by dbt."""

    def fill(root: Path) -> None:
        home = Home(root, bot_events_per_day=BOT_EVENTS, funnels=FUNNELS)
        home.put(date(2024, 3, 5), [event("e1", "2024-03-05T01:00:00Z")])
        with environment_restored():
            parsed = _prepare_from(prepared, home)
            home.night(parsed)
            # A first night is compiled for a rebuild, and tests run what is compiled for a later one.
            home.night(parsed)

    return Home(built_once("template", fill), bot_events_per_day=BOT_EVENTS, funnels=FUNNELS)


def _prepare_from(prepared: Path, home: Home) -> Any:
    """Prepare a home of another configuration without another parse: nothing but code that is compiled reads variables."""
    parsed = dbt.read_parsed(load({"NORTHSTAR_HOME": str(prepared)}, directory=prepared))
    shutil.copytree(prepared / "dbt", home.settings.home / "dbt", dirs_exist_ok=True)
    data_tests.write(dbt._tests_path(home.settings), dbt._compiled_tests(home.settings, parsed))
    dbt._stamp(home.settings).write_text(dbt._made(home.settings))
    return parsed


@pytest.fixture(scope="session")
def parsed(template: Home) -> Any:
    """The dbt project parsed once for all homes."""
    return dbt.read_parsed(template.settings)


@pytest.fixture(scope="session")
def chain(template: Home) -> CompiledChain:
    """The chain as dbt compiled it for the template."""
    return CompiledChain(template)


@pytest.fixture(autouse=True)
def _incremental_models(template: Home, monkeypatch: pytest.MonkeyPatch) -> Incremental:
    """What the incremental models of the project depend on."""
    found = Incremental.read(dbt.read_manifest(template.settings))
    monkeypatch.setattr(Home, "incremental", found)
    return found


@pytest.fixture(autouse=True)
def _same_environment():
    """Settings export what the libraries read; no test leaves that behind."""
    with environment_restored():
        yield
