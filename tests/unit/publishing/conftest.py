"""A home with a warehouse to publish from, and one call that publishes it."""

import json
import shutil
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

import duckdb
import pytest

from orchestration.base import digests
from orchestration.publishing.candidate import Candidate
from orchestration.publishing.facts import NightRecord
from orchestration.publishing.lock import WriterLock
from orchestration.publishing.manifest import GateRecord, Manifest, SourceRecord
from orchestration.publishing.promotion import Verdict
from orchestration.publishing.release import Release
from orchestration.publishing.store import ReleaseStore
from tests.specs import declare, run_facts

MARTS = ("mart_mrr__month", "mart_metric__daily")


class Home:
    """A home folder with its store, and a warehouse whose contents follow `version`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.store = ReleaseStore(path)
        self.warehouse = path / "warehouse.duckdb"

    def fill(self, version: int = 1, rows: int = 50) -> None:
        self.warehouse.unlink(missing_ok=True)
        with duckdb.connect(str(self.warehouse)) as connection:
            connection.execute("CREATE SCHEMA marts")
            connection.execute(
                "CREATE TABLE marts.mart_mrr__month AS SELECT DATE '2026-01-01' + i::INTEGER AS month, 'all' AS segment,"
                f" (i * {version})::DECIMAL(18, 4) AS closing_mrr FROM range({rows}) t(i) ORDER BY hash(i)"
            )
            connection.execute(
                "CREATE TABLE marts.mart_metric__daily AS SELECT 'dau' AS metric, i AS value, ['a, b', NULL] AS segments,"
                f" {version} AS version FROM range({rows}) t(i)"
            )

    def build(self, marts: Sequence[str] = MARTS, **options) -> Candidate:
        options = {"order_by": {"mart_mrr__month": ["month", "segment"]}, **options}
        known = {"data_through": date(2026, 11, 20), "code_version": "0.1.0", "model_version": "churn-7"}
        known |= {name: options.pop(name) for name in ("release_id", *known) if name in options}
        key = options.pop("key", None)
        return self.store.build(self.warehouse, declare(marts, **options), run_facts(**known), key=key)

    def manifest(self, candidate: Candidate, **fields) -> Manifest:
        current = self.store.current()
        left_out = fields.get("left_out", {})
        known = {
            "previous_release_id": current.release_id if current else None,
            "config_digest": "c" * 64,
            "dbt_manifest_digest": "d" * 64,
            "sources": {"events": SourceRecord(2, 10, date(2026, 11, 19), date(2026, 11, 20), "e" * 64)},
            "left_out": {},
            "gate": GateRecord(passed=True, declared=9, evaluated=9, failed=0, warnings=0),
            "timings": {"ingest": 1.5},
            "schema_changes": self.store.schema_changes(candidate, left_out),
        }
        return candidate.manifest(NightRecord(**{**known, **fields}))

    def promote(self, candidate: Candidate, lock: WriterLock, **fields) -> Release:
        verdict = Verdict(passed=True, marts_sha256=candidate.marts_sha256, reason="all passed")
        return self.store.promote(candidate, verdict, self.manifest(candidate, **fields), lock)

    def publish(self, version: int = 1, rows: int = 50, **options) -> Release:
        self.fill(version, rows)
        with WriterLock(self.path) as lock:
            return self.promote(self.build(**options), lock)

    def answer(self) -> int:
        """Which version the file that outside readers open holds."""
        with duckdb.connect(str(self.path / "published" / "marts.duckdb"), read_only=True) as connection:
            return connection.execute("SELECT max(version) FROM marts.mart_metric__daily").fetchone()[0]


def is_whole(home: Home, expected_versions: set[int]) -> int:
    """Every way to ask for the current release gives the same whole one, all others are whole, and nothing else lies about."""
    current = home.store.current()
    pointer = json.loads((home.path / "published" / "current.json").read_text())
    assert pointer["release_id"] == current.release_id
    assert pointer["path"] == f"releases/{current.release_id}"
    for release in home.store.releases():
        assert digests.of_file(release.database) == release.manifest.marts_sha256
    version = home.answer()
    assert version in expected_versions
    leftovers = [path.name for path in (home.path / "published").iterdir() if path.name.startswith((".", "promoting"))]
    assert leftovers == []
    return version


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = Home(tmp_path_factory.mktemp("template"))
    home.publish(version=1)
    return home.path


@pytest.fixture
def published(tmp_path: Path, template: Path) -> Home:
    """Copy a home whose first release is out."""
    return Home(Path(shutil.copytree(template, tmp_path / "home", symlinks=True)))


@pytest.fixture
def make_home(tmp_path: Path) -> Callable[[str], Home]:
    def make(name: str) -> Home:
        home = Home(tmp_path / name)
        home.path.mkdir()
        return home

    return make
