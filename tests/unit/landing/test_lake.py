"""The lake's layout, its manifest as commit point, and replacement."""

import hashlib
import json
from dataclasses import replace
from datetime import date
from pathlib import Path

import duckdb
import pytest

from orchestration.base.errors import NorthstarError
from orchestration.landing.contract import CONTRACT
from orchestration.landing.lake import MANIFEST, Lake, LandedFile, Partition

DAY = date(2024, 2, 29)


def partition(day: date = DAY, source: str = "orders") -> Partition:
    return Partition(
        source=source,
        arrived_date=day,
        digest="",
        landed=(LandedFile("a.csv", 10, 123, "0" * 64, 3, 2, 1),),
        accepted=2,
        quarantined=1,
        data_files=(),
        quarantine_files=(),
        unknown_columns=("colour",),
        missing_columns=("discount", "cost"),
        reasons={"amount: below 0": 1},
        happened={"2024-02-28": 2},
    )


def stage(lake: Lake, day: date = DAY, *, accepted: str | None = "1", refused: str | None = None) -> None:
    for path, value in zip(lake.staged("orders", day), (accepted, refused), strict=True):
        if value is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            duckdb.sql(f"COPY (SELECT {value} AS x) TO '{path}' (FORMAT parquet)")


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def test_a_committed_partition_is_read_back_as_it_was(tmp_path):
    lake = Lake(tmp_path)
    stage(lake, refused="2")
    committed = lake.commit(partition())
    assert lake.partition("orders", DAY) == committed
    assert lake.partitions("orders") == {DAY: committed}
    assert committed.rows == 3
    (data,) = lake.files("orders")
    assert data.parent == tmp_path / "lake" / "orders" / "dt=2024-02-29"
    assert hashlib.sha256(data.read_bytes()).hexdigest() == committed.digest
    assert committed.digest.startswith(data.stem)
    (refused,) = lake.quarantine_files("orders")
    assert refused.parent == tmp_path / "quarantine" / "orders" / "dt=2024-02-29"


def test_what_was_never_ingested_is_not_there(tmp_path):
    lake = Lake(tmp_path)
    assert lake.partitions("orders") == {}
    assert lake.partition("orders", DAY) is None
    assert lake.files("orders") == []
    assert lake.files("orders", [DAY]) == []


def test_data_without_a_manifest_is_not_there(tmp_path):
    lake = Lake(tmp_path)
    stage(lake)
    assert lake.partitions("orders") == {}
    lake.commit(partition())
    (lake.folder("orders", DAY) / MANIFEST).unlink()
    assert lake.files("orders") == []


def test_a_replaced_partition_leaves_nothing_of_the_old_one(tmp_path):
    lake = Lake(tmp_path)
    stage(lake, refused="2")
    old = lake.commit(partition())
    stage(lake, accepted="3", refused="4")
    new = lake.commit(partition())
    assert new.digest != old.digest
    assert names(lake.folder("orders", DAY)) == {MANIFEST, *new.data_files}
    assert names(lake.quarantine_folder("orders", DAY)) == set(new.quarantine_files)
    stage(lake, accepted="3")
    clean = lake.commit(partition())
    assert clean.quarantine_files == ()
    assert not lake.quarantine_folder("orders", DAY).exists()


def test_equal_content_keeps_the_very_file(tmp_path):
    lake = Lake(tmp_path)
    stage(lake)
    first = lake.commit(partition())
    before = lake.files("orders")[0].stat()
    stage(lake)
    second = lake.commit(replace(partition(), landed=(LandedFile("a.csv", 10, 999, "0" * 64, 3, 2, 1),)))
    after = lake.files("orders")[0].stat()
    assert (first.digest, before.st_ino, before.st_mtime_ns) == (second.digest, after.st_ino, after.st_mtime_ns)
    assert lake.partition("orders", DAY).landed[0].mtime_ns == 999


def test_a_damaged_data_file_is_written_anew(tmp_path):
    lake = Lake(tmp_path)
    stage(lake)
    lake.commit(partition())
    (data,) = lake.files("orders")
    good = data.read_bytes()
    data.write_bytes(good[:-1])
    stage(lake)
    lake.commit(partition())
    assert data.read_bytes() == good


def test_leftovers_of_a_crash_are_removed_by_the_next_commit(tmp_path):
    lake = Lake(tmp_path)
    stage(lake)
    (lake.folder("orders", DAY) / "f00d.parquet").write_bytes(b"orphan")
    (lake.folder("orders", DAY) / f".{MANIFEST}").write_text("{")
    committed = lake.commit(partition())
    assert names(lake.folder("orders", DAY)) == {MANIFEST, *committed.data_files}


def test_a_partition_without_accepted_rows_has_no_file_but_exists(tmp_path):
    lake = Lake(tmp_path)
    committed = lake.commit(replace(partition(), accepted=0))
    assert committed.data_files == ()
    assert committed.digest == hashlib.sha256(b"").hexdigest()
    assert lake.partitions("orders") == {DAY: committed}


def test_files_come_oldest_first_and_can_be_chosen(tmp_path):
    lake = Lake(tmp_path)
    days = [date(2024, 3, 1), date(2023, 12, 31), DAY]
    for day in days:
        stage(lake, day, accepted=str(day.toordinal()))
        lake.commit(partition(day))
    assert [path.parent.name for path in lake.files("orders")] == ["dt=2023-12-31", "dt=2024-02-29", "dt=2024-03-01"]
    chosen = lake.files("orders", [days[0], days[1], date(2000, 1, 1)])
    assert [path.parent.name for path in chosen] == ["dt=2023-12-31", "dt=2024-03-01"]
    assert list(lake.partitions("orders")) == sorted(days)


@pytest.mark.parametrize("text", ["", "{", "{}", '{"source": "orders"}'])
def test_a_damaged_manifest_is_named(tmp_path, text):
    lake = Lake(tmp_path)
    stage(lake)
    lake.commit(partition())
    path = lake.folder("orders", DAY) / MANIFEST
    path.write_text(text)
    with pytest.raises(NorthstarError, match=r"manifest\.json is not a manifest"):
        lake.partitions("orders")


def test_the_manifest_is_plain_json(tmp_path):
    lake = Lake(tmp_path)
    stage(lake)
    committed = lake.commit(partition())
    value = json.loads((lake.folder("orders", DAY) / MANIFEST).read_text())
    assert value["arrived_date"] == "2024-02-29"
    assert value["digest"] == committed.digest
    assert value["landed"][0] == {
        "name": "a.csv",
        "size": 10,
        "mtime_ns": 123,
        "sha256": "0" * 64,
        "rows": 3,
        "accepted": 2,
        "quarantined": 1,
    }


def test_a_file_from_before_a_column_was_known_reads_as_null(tmp_path):
    lake = Lake(tmp_path)
    stored = (
        "'o1' AS order_id, 'u1' AS user_id, TIMESTAMP '2024-02-29' AS ordered_at, 5::DECIMAL(18,4) AS amount, 'USD' AS currency"
    )
    path, _ = lake.staged("orders", DAY)
    path.parent.mkdir(parents=True)
    place = "DATE '2024-02-29' AS arrived_date, 'a.csv' AS landed_file, 1::BIGINT AS landed_row"
    duckdb.sql(f"COPY (SELECT {stored}, {place}) TO '{path}' (FORMAT parquet)")
    committed = lake.commit(replace(partition(), accepted=1, quarantined=0))
    with duckdb.connect() as connection:
        lake.load(connection, CONTRACT["orders"], [committed])
        rows = connection.execute("SELECT order_id, updated_at, refunded_at, extra FROM judged").fetchall()
    assert rows == [("o1", None, None, None)]


def test_what_is_no_arrival_day_is_not_the_lake_s(tmp_path):
    lake = Lake(tmp_path)
    stage(lake)
    lake.commit(partition())
    for stray in ("dt=latest", "dt=2024-02-30", "backup"):
        (tmp_path / "lake" / "orders" / stray).mkdir()
    (tmp_path / "lake" / "orders" / "dt=notes.txt").write_text("")
    assert list(lake.partitions("orders")) == [DAY]
    lake.sweep()
    assert (tmp_path / "lake" / "orders" / "dt=latest").is_dir()


@pytest.mark.parametrize("fault", ["gone", "cut", "empty"])
def test_a_lost_file_is_named_with_the_command_that_heals_it(tmp_path, fault):
    lake = Lake(tmp_path)
    stage(lake)
    whole = lake.commit(partition())
    lake.require_whole([whole])
    (file,) = lake.files("orders")
    data = file.read_bytes()
    file.unlink()
    if fault != "gone":
        file.write_bytes(data[:-5] if fault == "cut" else b"")
    with pytest.raises(NorthstarError, match=r"northstar backfill --from 2024-02-29 --to 2024-02-29(.|\n)*\.parquet"):
        lake.require_whole([whole])
