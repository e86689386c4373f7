"""Dagster: what `orchestration.event_log` overrides in its event log for SQLite, and what it calls there."""

import inspect

import pytest
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME, SqliteEventLogStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from libraries import DAGSTER
from sqlalchemy import text

from orchestration.event_log import EventLog

# Members of the class above that the log on open connections overrides or calls, and their parameters.
MEMBERS = {
    "_connect": ["self", "shard"],
    "_initdb": ["self", "engine", "for_index_shard"],
    "conn_string_for_shard": ["self", "shard_name"],
    "dispose": ["self"],
    "has_table": ["self", "table_name"],
    "store_event_batch": ["self", "events"],
    "wipe": ["self"],
}


def missing_members(storage: type) -> list[str]:
    return [
        name
        for name, parameters in MEMBERS.items()
        if not callable(getattr(storage, name, None)) or list(inspect.signature(getattr(storage, name)).parameters) != parameters
    ]


def test_the_storage_has_the_members_that_are_overridden_and_called() -> None:
    with DAGSTER.contract("members of SqliteEventLogStorage and their parameters"):
        assert missing_members(SqliteEventLogStorage) == []
        assert isinstance(SQLITE_BUSY_TIMEOUT_SECONDS, int | float)
        assert INDEX_SHARD_NAME == "index"


def test_a_member_with_other_parameters_is_found() -> None:
    assert missing_members(type("Changed", (SqliteEventLogStorage,), {"_initdb": print})) == ["_initdb"]


def test_all_that_the_storage_does_goes_through_the_kept_connections(tmp_path) -> None:
    with DAGSTER.contract(
        "run_connection and index_connection open files with _connect alone, under _db_lock and _initialized_dbs"
    ):
        log = EventLog(str(tmp_path))
        with log.run_connection("run") as run:
            assert run.execute(text("select count(*) from event_logs")).scalar() == 0
        with log.index_connection() as index:
            assert index.execute(text("select count(*) from event_logs")).scalar() == 0
        assert set(log._engines) == {INDEX_SHARD_NAME, "run"}
        assert {path.name for path in tmp_path.glob("*.db")} == {"index.db", "run.db"}
        log.dispose()
        assert not log._engines


def test_a_storage_that_opens_files_another_way_breaks_the_contract(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(EventLog, "_connect", SqliteEventLogStorage._connect)
    log = EventLog(str(tmp_path))
    broken = pytest.raises(AssertionError, match="look at orchestration/event_log")
    with broken, DAGSTER.contract("kept connections"), log.run_connection("run"):
        assert set(log._engines) == {INDEX_SHARD_NAME, "run"}
