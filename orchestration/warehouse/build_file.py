"""The build file `warehouse.duckdb`: opening, inspecting, rewriting and discarding it.

Belongs here: connections to the file and its recorded state. Does not belong here: planning what a night folds in
(`fold_plan`).

The file is disposable: everything in it is rebuilt from the lake.
"""

import logging
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from orchestration.base import duck
from orchestration.base.durable import sync_path
from orchestration.base.errors import NorthstarError
from orchestration.base.sql import identifier, literal
from orchestration.config.settings import Settings

if TYPE_CHECKING:
    import duckdb

_logger = logging.getLogger("northstar.night")


class Warehouse:
    """The build file of one home. Methods open and close it; they fail while another process holds it open."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @property
    def path(self) -> Path:
        """Path of the build file."""
        return self._settings.warehouse

    @property
    def _draft(self) -> Path:
        return self.path.with_name(f".{self.path.name}.draft")

    @contextmanager
    def connect(self, *, read_only: bool = False) -> Iterator["duckdb.DuckDBPyConnection"]:
        """A connection with the configured limits, closed at the end."""
        import duckdb

        temporary = self._settings.home / "tmp"
        temporary.mkdir(parents=True, exist_ok=True)
        try:
            connection = duck.connect(
                self.path,
                read_only=read_only,
                memory_limit=self._settings.config.memory_limit,
                temp_directory=temporary,
            )
        except (duckdb.IOException, duckdb.SerializationException, duckdb.InternalException, duckdb.FatalException) as error:
            raise NorthstarError(f"{self.path} cannot be opened: {str(error).splitlines()[0]}") from error
        try:
            yield connection
        finally:
            connection.close()

    @contextmanager
    def kept_open(self) -> Iterator[None]:
        """Let reading connections share one open file: DuckDB takes 70 ms to read the catalog of 200 relations each time."""
        with self.connect(read_only=True):
            yield

    def make_ready(self, *, anew: bool = False) -> None:
        """Ensure that the file can be opened; discard it if it is damaged, or in any case with `anew`."""
        self._settings.home.mkdir(parents=True, exist_ok=True)
        if self.path.is_dir():
            raise NorthstarError(
                f"{self.path} is a folder, where the build file belongs; move it away and run `northstar nightly`"
            )
        if anew or self._is_damaged():
            _unlink(self.path)

    def discard(self) -> None:
        """Remove the file and everything spilled beside it: freed blocks of a DuckDB file keep their old contents."""
        _unlink(self.path)
        _unlink(self._draft)
        shutil.rmtree(self._settings.home / "tmp", ignore_errors=True)

    def rewrite(self, kept: Mapping[tuple[str, str], str]) -> None:
        """Put a file in its place, at once and for good, that holds nothing but these tables and no byte of their other rows.

        kept: by schema and name of a table, the SQL condition of the rows to keep, which may ask every relation of the file.
        """
        draft = self._draft
        _unlink(draft)
        with self.connect() as connection:
            tables = "select schema_name, table_name, sql, database_name from duckdb_tables()"
            found = connection.execute(tables).fetchall()
            connection.execute(f"attach {literal(str(draft))} as draft")
            for schema, table, definition, catalog in found:
                if condition := kept.get((schema, table)):
                    name = f"{identifier(schema)}.{identifier(table)}"
                    connection.execute(f"create schema if not exists draft.{identifier(schema)}")
                    # Its own definition: a table made of a query would lose its keys.
                    connection.execute(f"use draft; {definition}; use {identifier(catalog)}")
                    connection.execute(f"insert into draft.{name} from {name} as kept where {condition}")
            connection.execute("checkpoint draft; detach draft")
        sync_path(draft)
        # A log that outlived its file would be replayed into the new one.
        _log(self.path).unlink(missing_ok=True)
        draft.replace(self.path)
        sync_path(self.path.parent)
        shutil.rmtree(self._settings.home / "tmp", ignore_errors=True)

    def _is_damaged(self) -> bool:
        """Whether the build file cannot be opened, for any reason other than a process that holds it."""
        try:
            with self.connect():
                return False
        except NorthstarError as error:
            if "lock on file" in str(error):
                raise
            _logger.warning("%s; it is thrown away and built anew from the lake", error)
            return True

    def mark_folded(self) -> None:
        """Record, in one transaction, that the incremental models contain everything in the last plan."""
        with self.connect() as connection:
            connection.execute("begin")
            connection.execute("delete from control.affected_visitor_days")
            connection.execute("delete from control.partitions_to_fold")
            connection.execute("delete from control.affected_as_of")
            connection.execute("delete from control.folded_through")
            connection.execute("insert into control.folded_through select data_through from control.run")
            connection.execute("delete from control.folded")
            connection.execute("insert into control.folded select source, arrived_date, digest from control.target")
            connection.execute("insert or replace into control.digests select name, digest from control.planned_digests")
            connection.execute("commit")

    def planned_by(self) -> str | None:
        """The run whose plan is in the file; None without a plan, or with one of an earlier version of Northstar."""
        if not self.path.is_file():
            return None
        with self.connect(read_only=True) as connection:
            known = connection.execute(
                "select 1 from duckdb_tables() where schema_name = 'control' and table_name = 'planned_by'"
            ).fetchall()
            rows = connection.execute("from control.planned_by").fetchall() if known else []
        return str(rows[0][0]) if rows else None

    def landed_sources(self) -> frozenset[str]:
        """Sources with anything within the horizon of the last plan."""
        with self.connect(read_only=True) as connection:
            rows = connection.execute("select source from control.landed_sources where is_landed").fetchall()
        return frozenset(name for (name,) in rows)

    def row_counts(self, relations: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
        """Rows of each (schema, table) that is a table; views are skipped, since counting would compute them."""
        wanted = set(relations)
        with self.connect(read_only=True) as connection:
            tables = connection.execute("select schema_name, table_name, estimated_size from duckdb_tables()").fetchall()
        return {(schema, table): rows for schema, table, rows in tables if (schema, table) in wanted}


def _unlink(database: Path) -> None:
    for path in (database, _log(database)):
        path.unlink(missing_ok=True)


def _log(database: Path) -> Path:
    return database.with_name(f"{database.name}.wal")
