"""Arrivals: a copied landing zone is recognised by its content, everything else is ingested again."""

import json
import os
from datetime import date
from pathlib import Path

import pytest

from orchestration.base import digests
from orchestration.landing.arrivals import pending
from tests.unit.landing.test_ingest import DAY, EVENT, Zone, csv_text

NEXT = date(2024, 3, 6)
HOUR = 3_600 * 10**9


@pytest.fixture
def zone(tmp_path):
    return Zone(tmp_path)


@pytest.fixture
def hashed(monkeypatch):
    """Names of the files that are hashed."""
    names: list[str] = []
    real = digests.of_file

    def of_file(path: Path) -> str:
        names.append(path.name)
        return real(path)

    monkeypatch.setattr(digests, "of_file", of_file)
    return names


def touch(path: Path, by: int = HOUR) -> int:
    """Change a file's modification time, and return it."""
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + by))
    return path.stat().st_mtime_ns


def times(zone: Zone) -> dict[str, int]:
    partition = zone.lake.partition("events", DAY)
    assert partition is not None
    return {file.name: file.mtime_ns for file in partition.landed}


def test_a_copied_zone_is_not_ingested_again_and_hashed_once(zone, hashed):
    paths = [zone.put(name, [EVENT]) for name in ("a.csv", "b.jsonl.gz", "c.parquet")]
    other = zone.put("a.csv", [EVENT], day=NEXT)
    zone.ingest(days=[DAY, NEXT])
    before = {path: path.read_bytes() for path in zone.lake.root.rglob("*.parquet")}
    copied = {path.name: touch(path) for path in paths}
    touch(other)
    hashed.clear()
    assert pending(zone.landing, zone.lake) == {}
    assert sorted(hashed) == ["a.csv", "a.csv", "b.jsonl.gz", "c.parquet"]
    assert times(zone) == copied
    hashed.clear()
    assert pending(zone.landing, zone.lake) == {}
    assert hashed == []
    assert {path: path.read_bytes() for path in zone.lake.root.rglob("*.parquet")} == before


def test_a_recorded_time_changes_nothing_else_of_the_manifest(zone):
    path = zone.put("a.csv", [EVENT, EVENT | {"value": "x"}])
    (ingested,) = zone.ingest()
    touch(path)
    assert pending(zone.landing, zone.lake) == {}
    recorded = zone.lake.partition("events", DAY)
    assert recorded != ingested
    assert zone.ingest() == [recorded]


def test_equal_size_and_other_content_is_pending(zone):
    path = zone.put("a.csv", [EVENT])
    zone.put("b.csv", [EVENT])
    zone.ingest()
    before = times(zone)
    path.write_text(csv_text([EVENT | {"event_id": "e2"}]), newline="")
    touch(path, by=-HOUR)
    assert pending(zone.landing, zone.lake) == {"events": [DAY]}
    assert times(zone) == before


def test_other_size_or_another_file_is_pending_without_hashing(zone, hashed):
    path = zone.put("a.csv", [EVENT])
    zone.ingest()
    hashed.clear()
    path.write_text("")
    assert pending(zone.landing, zone.lake) == {"events": [DAY]}
    zone.ingest()
    hashed.clear()
    zone.put("b.csv", [EVENT])
    touch(path)
    assert pending(zone.landing, zone.lake) == {"events": [DAY]}
    path.unlink()
    assert pending(zone.landing, zone.lake) == {"events": [DAY]}
    assert hashed == []


def test_times_that_reorder_the_files_of_a_day_are_ingested(zone):
    first, second = zone.put("a.csv", [EVENT]), zone.put("b.csv", [EVENT])
    touch(second)
    zone.ingest()
    touch(first, by=2 * HOUR)
    assert pending(zone.landing, zone.lake) == {"events": [DAY]}
    assert times(zone)["a.csv"] < times(zone)["b.csv"]
    zone.ingest()
    assert times(zone)["a.csv"] > times(zone)["b.csv"]
    assert pending(zone.landing, zone.lake) == {}


def test_equal_times_are_ordered_by_name(zone):
    first, second = zone.put("a.csv", [EVENT]), zone.put("b.csv", [EVENT])
    touch(second)
    zone.ingest()
    os.utime(first, ns=(0, HOUR))
    os.utime(second, ns=(0, HOUR))
    assert pending(zone.landing, zone.lake) == {}
    assert times(zone) == {"a.csv": HOUR, "b.csv": HOUR}


def test_a_manifest_without_digests_is_valid_and_its_copy_pending(zone):
    path = zone.put("a.csv", [EVENT])
    zone.ingest()
    manifest = zone.lake.folder("events", DAY) / "manifest.json"
    fields = json.loads(manifest.read_text())
    for file in fields["landed"]:
        del file["sha256"]
    manifest.write_text(json.dumps(fields))
    assert pending(zone.landing, zone.lake) == {}
    touch(path)
    assert pending(zone.landing, zone.lake) == {"events": [DAY]}
    zone.ingest()
    touch(path)
    assert pending(zone.landing, zone.lake) == {}


def test_a_file_that_changes_while_it_is_hashed_is_pending(zone, monkeypatch):
    path = zone.put("a.csv", [EVENT])
    zone.ingest()
    before = times(zone)
    touch(path)
    real = digests.of_file

    def of_file(read: Path) -> str:
        digest = real(read)
        touch(path)
        return digest

    monkeypatch.setattr(digests, "of_file", of_file)
    assert pending(zone.landing, zone.lake) == {"events": [DAY]}
    assert times(zone) == before


def test_an_unreadable_copy_is_pending(zone, monkeypatch):
    path = zone.put("a.csv", [EVENT])
    zone.ingest()
    touch(path)

    def of_file(path: Path) -> str:
        raise PermissionError(path)

    monkeypatch.setattr(digests, "of_file", of_file)
    assert pending(zone.landing, zone.lake) == {"events": [DAY]}
