"""Copying: rows of the table `judged` become the Parquet files of partitions.

Belongs here: which columns in which order, and how many partitions one statement writes. Does not belong here: where files lie
and what commits them (`lake`).
"""

from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from orchestration.base.sql import identifier, literal
from orchestration.landing.contract import LAKE_COLUMNS
from orchestration.landing.source import Source

if TYPE_CHECKING:
    import duckdb

    from orchestration.landing.lake import Partition

# Planning a statement costs as much as writing some hundred rows. A chunk stays far below the number of files (100) and rows
# (524,288) beyond which DuckDB would write a partition into several files.
_SMALL_ROWS = 2_000
_CHUNK = 50
_FORMAT = "FORMAT parquet, COMPRESSION zstd"


def chunks(partitions: Sequence["Partition"]) -> Iterator[list["Partition"]]:
    """Divide partitions into those that one statement writes: small ones together, a larger one alone."""
    small = [partition for partition in partitions if partition.rows <= _SMALL_ROWS]
    yield from (small[at : at + _CHUNK] for at in range(0, len(small), _CHUNK))
    yield from ([partition] for partition in partitions if partition.rows > _SMALL_ROWS)


def copy_accepted(connection: "duckdb.DuckDBPyConnection", source: Source, targets: dict[date, Path], spill: Path) -> None:
    """Write the accepted rows of each arrival day into its file, in the order of their time, file and number.

    Several days are written below `spill` first, on one thread, which keeps the order of rows.
    """
    lake_columns = {"arrived_date": "day", "landed_file": "file", "landed_row": "n", "extra": "extra"}
    behind = (f"{lake_columns[name]}::{kind} AS {name}" for name, kind, _ in LAKE_COLUMNS)
    columns = ", ".join([*(identifier(column.name) for column in source.columns), *behind])
    _copy(connection, f"SELECT {columns}", f"reasons IS NULL ORDER BY {identifier(source.happened_at)}, file, n", targets, spill)


def copy_refused(connection: "duckdb.DuckDBPyConnection", targets: dict[date, Path], spill: Path) -> None:
    """Write the refused rows of each arrival day into its file, in the order of files and numbers; `spill` as above."""
    columns = "file AS landed_file, n AS landed_row, array_to_string(reasons, '; ') AS reason, raw::JSON AS row"
    _copy(connection, f"SELECT {columns}", "reasons IS NOT NULL ORDER BY file, n", targets, spill)


def _copy(connection: "duckdb.DuckDBPyConnection", select: str, condition: str, targets: dict[date, Path], spill: Path) -> None:
    days = [f"DATE '{day}'" for day in sorted(targets)]
    for target in targets.values():
        target.parent.mkdir(parents=True, exist_ok=True)
    with connection.cursor() as cursor:
        if len(targets) == 1:
            rows = f"{select} FROM judged WHERE day = {days[0]} AND {condition}"
            cursor.execute(f"COPY ({rows}) TO {literal(str(*targets.values()))} ({_FORMAT})")
        elif targets:
            chosen = f"day BETWEEN {days[0]} AND {days[-1]} AND day IN ({', '.join(days)})"
            rows = f"{select}, day AS dt FROM judged WHERE {chosen} AND {condition}"
            cursor.execute(f"COPY ({rows}) TO {literal(str(spill))} ({_FORMAT}, PARTITION_BY (dt))")
            for day, target in targets.items():
                (written,) = (spill / f"dt={day}").iterdir()
                written.rename(target)
