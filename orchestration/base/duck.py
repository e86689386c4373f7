"""DuckDB connections: the only place in `orchestration` that opens one.

Belongs here: the settings that every connection shares (time zone, progress bar, limits, temporary folder, access mode). Does not
belong here: what is attached or asked, and connections that dbt opens itself (`dbt_project/profiles.yml`).
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

    memory_limit: as DuckDB writes it, such as "8GB"; beyond it work spills to temp_directory.
    config: options that must be set while the database is opened. A file opened twice in one process needs the same ones.
    """
    import duckdb  # the import takes a tenth of a second, which commands that read no data need not wait for

    connection = duckdb.connect(":memory:" if database is None else str(database), read_only=read_only, config=dict(config or {}))
    try:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET enable_progress_bar = false")  # it would be drawn over what a command prints
        if memory_limit is not None:
            connection.execute(f"SET memory_limit = {literal(memory_limit)}")
        if temp_directory is not None:
            connection.execute(f"SET temp_directory = {literal(str(temp_directory))}")
    except BaseException:
        connection.close()
        raise
    return connection
