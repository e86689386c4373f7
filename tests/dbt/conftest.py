"""The dbt project compiled once per test run for each configuration that its models are compared under."""

from collections.abc import Callable, Iterator
from datetime import date
from functools import partial
from pathlib import Path

import pytest

from orchestration.config.loading import load
from orchestration.config.schema import Config
from orchestration.warehouse.dbt import read_parsed
from tests.dbt.harness import DbtProject

PARTITION_START = date(2023, 6, 1)

Compiled = Callable[[str, Config], DbtProject]


@pytest.fixture(scope="session")
def compiled(built_once: Callable[[str, Callable[[Path], None]], Path], prepared: Path) -> Compiled:
    """Give the project under a configuration, by a name for it: the worker that asks first compiles it, others read it."""

    def compile_in(config: Config, home: Path) -> None:
        parsed = read_parsed(load({"NORTHSTAR_HOME": str(prepared)}, directory=prepared))
        DbtProject(config, home, parsed).close()

    return lambda name, config: DbtProject(config, built_once(name, partial(compile_in, config)))


@pytest.fixture(scope="session")
def shanghai(compiled: Compiled) -> Iterator[DbtProject]:
    """Shanghai (no daylight saving), weeks from Monday, US dollars."""
    config = Config(bot_events_per_day=9, partition_start=PARTITION_START)
    project = compiled("shanghai", config)
    yield project
    project.close()


@pytest.fixture(scope="session")
def new_york(compiled: Compiled) -> Iterator[DbtProject]:
    """New York (daylight saving), weeks from Sunday, renminbi, another margin; few links join, midnight ends a session."""
    config = Config(
        reporting_timezone="America/New_York",
        week_start="sunday",
        reporting_currency="CNY",
        gross_margin="0.65",
        bot_events_per_day=9,
        max_identity_links=2,
        session_gap="45m",
        sessions_end_at_midnight=True,
        partition_start=PARTITION_START,
    )
    project = compiled("new_york", config)
    yield project
    project.close()
