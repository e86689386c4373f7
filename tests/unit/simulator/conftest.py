"""A simulated company, written and loaded once for all tests that only read it."""

import json
import pickle

import duckdb
import pytest

from orchestration.simulator import simulate
from tests.unit.simulator.simulated import END, Zone, write


@pytest.fixture(scope="session")
def zone(built_once):
    """Long enough for the latest facts to arrive."""

    def fill(root):
        root.mkdir()
        summary = simulate(root / "landing", days=170, users=1_600, end=END)
        (root / "summary.pickle").write_bytes(pickle.dumps(summary))
        truth = json.loads((root / "landing" / "truth.json").read_text(encoding="utf-8"))
        with duckdb.connect(str(root / "loaded.duckdb")) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            write(connection, root / "landing", truth)

    root = built_once("simulator", fill)
    summary = pickle.loads((root / "summary.pickle").read_bytes())  # noqa: S301 (written above)
    return Zone(root / "landing", summary, root / "loaded.duckdb")
