"""The event log on open connections: Dagster's own storage reads what it wrote, and the other way round."""

import shutil
import sqlite3
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.events import ASSET_EVENTS
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log import SqliteEventLogStorage

from orchestration.event_log import EventLog
from orchestration.serving import _TEMPLATE


@dg.multi_asset(
    specs=[dg.AssetSpec("first"), dg.AssetSpec("second", deps=["first"])],
    check_specs=[dg.AssetCheckSpec("is_whole", asset="second")],
)
def both():
    yield dg.MaterializeResult(asset_key="first", metadata={"dagster/row_count": 3})
    yield dg.MaterializeResult(asset_key="second")
    yield dg.AssetCheckResult(asset_key="second", check_name="is_whole", passed=True)


@pytest.fixture
def dagster_home(tmp_path, monkeypatch) -> Path:
    home = tmp_path / "dagster"
    home.mkdir()
    shutil.copy(_TEMPLATE, home)
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    return home


def run() -> str:
    with dg.DagsterInstance.get() as instance:
        assert isinstance(instance.event_log_storage, EventLog)
        return dg.materialize([both], instance=instance).run_id


def logged(storage: SqliteEventLogStorage, run_id: str) -> list[tuple]:
    return [(entry.timestamp, entry.dagster_event_type, entry.user_message) for entry in storage.get_logs_for_run(run_id)]


def test_dagsters_own_storage_reads_what_was_logged(dagster_home):
    run_id = run()
    stock = SqliteEventLogStorage(str(dagster_home / "history" / "runs"))
    kept = EventLog(str(dagster_home / "history" / "runs"))
    assert logged(stock, run_id) == logged(kept, run_id)
    assert dg.DagsterEventType.RUN_SUCCESS in {kind for _, kind, _ in logged(stock, run_id)}
    for storage in (stock, kept):
        first = storage.get_latest_materialization_events([dg.AssetKey("first")])[dg.AssetKey("first")]
        assert first.asset_materialization.metadata["dagster/row_count"].value == 3
        check = dg.AssetCheckKey(dg.AssetKey("second"), "is_whole")
        assert storage.get_latest_asset_check_execution_by_key([check])[check].run_id == run_id
    kept.dispose()


def test_an_instance_that_is_done_has_closed_its_files(dagster_home):
    run_id = run()
    files = {path.name for path in (dagster_home / "history" / "runs").iterdir()}
    assert {"index.db", f"{run_id}.db"} <= files
    assert not [name for name in files if name.endswith(("-wal", "-shm"))]


def test_what_another_process_logs_is_seen_at_once_and_from_any_thread(dagster_home):
    run_id = run()
    kept = EventLog(str(dagster_home / "history" / "runs"))
    before = len(logged(kept, run_id))
    stock = SqliteEventLogStorage(str(dagster_home / "history" / "runs"))
    stock.store_event(stock.get_logs_for_run(run_id)[0])
    with ThreadPoolExecutor(4) as threads:
        assert set(threads.map(lambda _: len(logged(kept, run_id)), range(8))) == {before + 1}
    kept.dispose()


def test_a_wiped_log_is_empty_and_goes_on(dagster_home):
    run_id = run()
    kept = EventLog(str(dagster_home / "history" / "runs"))
    entry = kept.get_logs_for_run(run_id)[0]
    kept.wipe()
    assert logged(kept, run_id) == []
    kept.store_event(entry)
    assert len(logged(kept, run_id)) == 1
    kept.dispose()


def test_only_the_last_run_is_kept_open(dagster_home):
    runs = [run(), run()]
    kept = EventLog(str(dagster_home / "history" / "runs"))
    for run_id in (*runs, runs[0]):
        assert logged(kept, run_id)
        assert set(kept._engines) <= {"index", run_id}
    kept.dispose()


def test_events_in_batches_are_those_stored_one_by_one(dagster_home, monkeypatch):
    run_id = run()
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "1000")
    batches: list[int] = []
    stored = EventLog.store_event_batch

    def counting(log: EventLog, events: Sequence[EventLogEntry]) -> None:
        batches.append(len(events))
        stored(log, events)

    monkeypatch.setattr(EventLog, "store_event_batch", counting)
    batched = run()
    # Two assets and a check are planned.
    assert batches == [3]
    stock = SqliteEventLogStorage(str(dagster_home / "history" / "runs"))
    of_run, of_batched = ([kind for _, kind, _ in logged(stock, of)] for of in (run_id, batched))
    assert sorted(map(str, of_run)) == sorted(map(str, of_batched))
    check = dg.AssetCheckKey(dg.AssetKey("second"), "is_whole")
    assert stock.get_latest_asset_check_execution_by_key([check])[check].run_id == batched


def test_a_batch_that_fails_is_stored_whole_or_not_at_all(dagster_home, monkeypatch):
    run_id = run()
    kept = EventLog(str(dagster_home / "history" / "runs"))
    events = [event for event in kept.get_logs_for_run(run_id) if event.dagster_event_type in ASSET_EVENTS]
    before = {shard: count_events(dagster_home, shard) for shard in (run_id, "index")}
    store_one = SqliteEventLogStorage.store_event

    def fail_at_last(log: SqliteEventLogStorage, event: EventLogEntry) -> None:
        store_one(log, event)
        if event is events[-1]:
            raise OSError("no space left")

    with monkeypatch.context() as patched:
        patched.setattr(SqliteEventLogStorage, "store_event", fail_at_last)
        with pytest.raises(OSError, match="no space"):
            kept.store_event_batch(events)
    assert {shard: count_events(dagster_home, shard) for shard in before} == before
    kept.store_event_batch(events)
    assert count_events(dagster_home, run_id) == before[run_id] + len(events)
    assert count_events(dagster_home, "index") == before["index"] + len(events)
    kept.dispose()


def count_events(dagster_home: Path, shard: str) -> int:
    with closing(sqlite3.connect(dagster_home / "history" / "runs" / f"{shard}.db")) as connection:
        return int(connection.execute("select count(*) from event_logs").fetchone()[0])
