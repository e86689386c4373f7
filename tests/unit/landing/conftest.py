"""A simulated company, written once for all tests that only read it."""

import pytest

from orchestration.landing.simulator import simulate
from tests.unit.landing.simulated import END, Zone


@pytest.fixture(scope="session")
def zone(tmp_path_factory):
    """Long enough for the latest facts to arrive."""
    folder = tmp_path_factory.mktemp("simulator") / "landing"
    return Zone(folder, simulate(folder, days=170, users=1_600, end=END))
