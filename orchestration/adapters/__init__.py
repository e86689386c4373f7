"""Adapters: each module here turns one outside shape into files of the landing contract.

Belongs here: what every adapter offers (`Adapter`, `AdapterReport`), the registry that finds them, and how they write their
days. Does not belong here: any outside shape (a module of its own, found by being there) or the contract.

An adapter imports a history as if each fact had arrived on its own day, in the reporting time zone.
"""

import importlib
import pkgutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast
from zoneinfo import ZoneInfo

import duckdb

from orchestration.base import duck
from orchestration.base.errors import UserError
from orchestration.base.sql import exact, literal


@dataclass(frozen=True)
class AdapterReport:
    """Result of a conversion: rows read, rows written per source, and further figures, each with the rows that it counts."""

    adapter: str
    rows_read: int
    rows_written: Mapping[str, int]
    notes: Sequence[str]


class Adapter(Protocol):
    """Interface of an adapter's module; SETTINGS are the northstar.toml defaults that fit its data."""

    NAME: str
    DESCRIPTION: str
    SETTINGS: Mapping[str, Any]

    def convert(self, files: Sequence[Path], out: Path, *, timezone: str) -> AdapterReport:
        """Write `<out>/<source>/dt=YYYY-MM-DD/<adapter>.parquet` from files of the outside shape.

        timezone: the reporting time zone, which defines days. Running it again gives the same bytes and removes its own days
        that are no longer in the files. UserError for missing or unreadable files and for columns that differ from the shape's.
        """
        ...


def connect(timezone: str) -> duckdb.DuckDBPyConnection:
    """Open a connection whose SQL variable `reporting_zone` is the time zone; UserError for an unknown zone."""
    try:
        ZoneInfo(timezone)
    except (KeyError, ValueError, OSError) as error:
        raise UserError(f"unknown time zone {timezone!r}") from error
    connection = duck.connect()
    connection.execute("SET VARIABLE reporting_zone = ?", [timezone])
    return connection


def load(connection: duckdb.DuckDBPyConnection, reader: str, files: Sequence[Path], columns: Iterable[str]) -> None:
    """Fill table `lines` with the wanted columns of all files, in order; `line` numbers the rows from 1.

    reader: the DuckDB table function call, with `$files` for the list. UserError when a file is missing, unreadable or lacks a
    column.
    """
    if not files:
        raise UserError("no file was given")
    for file in files:
        if not file.is_file():
            raise UserError(f"{file} does not exist")
    names = ", ".join(file.name for file in files)
    quoted = ", ".join(literal(exact(file)) for file in files)
    scan = reader.replace("$files", f"[{quoted}]")
    try:
        found = {str(row[0]) for row in connection.execute(f"DESCRIBE FROM {scan}").fetchall()}
        if absent := [column for column in columns if column not in found]:
            raise UserError(f"{names}: column {', '.join(absent)} is missing; its columns are {', '.join(sorted(found))}")
        wanted = ", ".join(f'"{column}"' for column in columns)
        connection.execute(f"CREATE TABLE lines AS SELECT row_number() OVER () AS line, {wanted} FROM {scan}")
    except duckdb.Error as error:
        raise UserError(f"{names}: unreadable: {str(error).splitlines()[0]}") from error


def write_days(connection: duckdb.DuckDBPyConnection, table: str, key: str, source: str, out: Path, name: str) -> int:
    """Write a table with a column `day` and the contract's columns as one file per day, and return the number of its rows.

    key: the unique column that sorts rows within a day. A file with unchanged bytes is not rewritten; this adapter's files for
    days that are not in the table are removed.
    """
    counts = connection.execute(f"SELECT day, count(*) FROM {table} GROUP BY day ORDER BY day").fetchall()
    written = set()
    for day, _ in counts:
        target = out / source / f"dt={day.isoformat()}" / f"{name}.parquet"
        target.parent.mkdir(parents=True, exist_ok=True)
        staged = target.with_name(f".{target.name}")
        rows = f"SELECT * EXCLUDE (day) FROM {table} WHERE day = DATE '{day}' ORDER BY {key}"
        connection.execute(f"COPY ({rows}) TO {literal(str(staged))} (FORMAT parquet, COMPRESSION zstd)")
        if target.exists() and target.read_bytes() == staged.read_bytes():
            staged.unlink()
        else:
            staged.replace(target)
        written.add(target)
    for stale in set(out.glob(f"{source}/dt=*/{name}.parquet")) - written:
        stale.unlink()
        if not any(stale.parent.iterdir()):
            stale.parent.rmdir()
    return sum(count for _, count in counts)


def _discovered() -> dict[str, Adapter]:
    modules = (importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__))
    return {module.NAME: cast(Adapter, module) for module in modules}


ADAPTERS: dict[str, Adapter] = _discovered()
"""Every adapter by name; last, because the modules that it imports use what is above."""
