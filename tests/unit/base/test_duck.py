"""Connections: the settings that all of them share, and those that a caller chooses."""

import duckdb
import pytest

from orchestration.base import duck


def setting(connection, name):
    return connection.execute("SELECT current_setting(?)", [name]).fetchone()[0]


def test_every_connection_is_in_utc_without_a_progress_bar():
    with duck.connect() as connection:
        assert setting(connection, "TimeZone") == "UTC"
        assert setting(connection, "enable_progress_bar") is False


def test_limits_and_options_are_those_of_the_caller(tmp_path):
    folder = tmp_path / "it's a folder"
    with duck.connect(memory_limit="1GiB", temp_directory=folder, config={"threads": 1}) as connection:
        assert setting(connection, "memory_limit") == "1.0 GiB"
        assert setting(connection, "temp_directory") == str(folder)
        assert setting(connection, "threads") == 1


def test_a_file_is_opened_in_the_mode_that_was_asked_for(tmp_path):
    with duck.connect(tmp_path / "build.duckdb") as connection:
        connection.execute("CREATE TABLE facts AS SELECT 1 AS one")
    with duck.connect(tmp_path / "build.duckdb", read_only=True) as connection:
        assert connection.execute("FROM facts").fetchall() == [(1,)]
        with pytest.raises(duckdb.InvalidInputException, match="read-only"):
            connection.execute("DROP TABLE facts")


def test_a_connection_that_cannot_be_set_up_is_closed(tmp_path):
    with pytest.raises(duckdb.Error):
        duck.connect(tmp_path / "build.duckdb", memory_limit="plenty")
    with duck.connect(tmp_path / "build.duckdb", config={"threads": 1}) as connection:  # another configuration: nothing is open
        assert setting(connection, "threads") == 1
