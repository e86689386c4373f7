"""The dbt project compiled once per session for each configuration that its models are compared under."""

from collections.abc import Iterator
from datetime import date

import pytest

from orchestration.settings import Config
from tests.dbt.harness import DbtProject

PARTITION_START = date(2023, 6, 1)


@pytest.fixture(scope="session")
def shanghai(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DbtProject]:
    """Shanghai (no daylight saving), weeks from Monday, US dollars."""
    config = Config(bot_events_per_day=9, partition_start=PARTITION_START)
    project = DbtProject(config, tmp_path_factory.mktemp("shanghai"))
    yield project
    project.close()


@pytest.fixture(scope="session")
def new_york(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DbtProject]:
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
    project = DbtProject(config, tmp_path_factory.mktemp("new_york"))
    yield project
    project.close()
