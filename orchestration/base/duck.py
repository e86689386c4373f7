"""DuckDB connections: the only place in `orchestration` that opens one.

Belongs here: the settings that every connection shares (time zone, progress bar, limits, temporary folder, access mode). Does
not belong here: attaching databases, queries, and connections that dbt opens itself (`dbt_project/profiles.yml`).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from orchestration.base.sql import literal

if TYPE_CHECKING:
    import duckdb


def connect(
    database: Path | None = None,
    *,
    read_only: bool = False,
    memory_limit: str | None = None,
    temp_directory: Path | None = None,
    config: Mapping[str, str | bool | int | float | list[str]] | None = None,
) -> "duckdb.DuckDBPyConnection":
    """Open a DuckDB file, or a database in memory, in UTC and without a progress bar; the caller closes the connection.

    memory_limit: in DuckDB's notation, such as "8GB"; above it, work spills to temp_directory.
    config: options that must be set while the database is opened. A file opened twice in one process needs the same options.
    """
    import duckdb  # the import takes 0.1 s; commands that read no data should not wait for it

    connection = duckdb.connect(":memory:" if database is None else str(database), read_only=read_only, config=dict(config or {}))
    try:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET enable_progress_bar = false")  # it would overwrite the command's output
        if memory_limit is not None:
            connection.execute(f"SET memory_limit = {literal(memory_limit)}")
        if temp_directory is not None:
            connection.execute(f"SET temp_directory = {literal(str(temp_directory))}")
    except BaseException:
        connection.close()
        raise
    return connection
