"""Reading releases: the current one, the list of all, and their contents.

Belongs here: everything that only reads below `<home>/published`. Does not belong here: building a release (`candidate`),
making it the current one (`promotion`), or removing it (`retention`).
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb

from orchestration.base import digests, duck
from orchestration.base.errors import NorthstarError, UserError
from orchestration.base.sql import identifier, literal
from orchestration.base.suggestion import nearest
from orchestration.publishing.layout import DATABASE, RELEASE_ID, Layout
from orchestration.publishing.manifest import (
    Manifest,
)

_logger = logging.getLogger("northstar.night")
_MONEY = ("DECIMAL(18,2)", "DECIMAL(18,4)")


@dataclass(frozen=True)
class Release:
    """A release on disk."""

    release_id: str
    path: Path
    manifest: Manifest
    is_current: bool

    @property
    def database(self) -> Path:
        """The release's DuckDB file, which never changes."""
        return self.path / DATABASE


class Releases:
    """Read access to the releases of one home. `memory_limit` (DuckDB's, such as `8GB`) bounds each connection opened here."""

    def __init__(self, home: Path, *, memory_limit: str | None = None) -> None:
        self.home = home
        self.layout = Layout(home)
        self._memory_limit = memory_limit
        self._damaged: set[str] = set()

    def current(self) -> Release | None:
        """Load the release that the link points to; None before the first one."""
        release_id = self.layout.linked_id()
        if release_id is None:
            return None
        if not (self.layout.releases / release_id).is_dir():
            raise NorthstarError(f"the current release {release_id} is gone; {self._remedy(release_id)}")
        try:
            return self.load(release_id, release_id)
        except NorthstarError as error:
            raise NorthstarError(f"{error}; {self._remedy(release_id)}") from None

    def _remedy(self, damaged: str) -> str:
        """The remedy when the current release is damaged."""
        others = [release.release_id for release in self.releases() if release.release_id != damaged]
        if others:
            return f"`northstar rollback` to another one (there is {', '.join(others[:5])})"
        folder = self.layout.releases / damaged
        return f"there is no other one: move {folder} and {self.layout.link} away, and run `northstar nightly`"

    def releases(self) -> list[Release]:
        """All releases, newest first by the time they were made; damaged ones are left out with a warning."""
        current = self.layout.linked_id()
        ids = (
            [path.name for path in self.layout.releases.iterdir() if RELEASE_ID.fullmatch(path.name)]
            if self.layout.releases.is_dir()
            else []
        )
        found = []
        for release_id in ids:
            try:
                found.append(self.load(release_id, current))
            except NorthstarError as error:
                # For the current release the caller gives the remedy.
                if release_id not in self._damaged and release_id != current:
                    _logger.warning("%s; move %s away", error, self.layout.releases / release_id)
                self._damaged.add(release_id)
        return sorted(found, key=lambda release: (release.manifest.published_at, release.release_id), reverse=True)

    def release(self, release_id: str) -> Release:
        """Find a release by its id; raises `UserError` that names the nearest ones."""
        known = {release.release_id: release for release in self.releases()}
        if release_id in known:
            return known[release_id]
        if release_id in self._damaged:
            return self.load(release_id, None)
        if not known:
            raise UserError("there is no release yet; run `northstar nightly`")
        near = nearest(release_id, known, at_most=3, likeness=0.6) or list(known)[:5]
        raise UserError(f"there is no release {release_id!r}; there is {', '.join(near)} (see `northstar releases`)")

    def age(self, now: datetime) -> timedelta:
        """Age of the current release at `now` (aware); raises `UserError` when there is none."""
        return now - self._require_current().manifest.published_at

    def check_bytes(self, release: Release) -> None:
        """Raise NorthstarError when the file that readers open is missing, truncated or not the published one."""
        path = self.layout.link if release.is_current else release.database
        fault = None
        try:
            if digests.of_file(path) != release.manifest.marts_sha256:
                fault = "it is not the file that was published"
        except OSError as error:
            fault = str(error.strerror)
        if fault:
            remedy = self._remedy(release.release_id) if release.is_current else "`northstar releases` lists others"
            raise NorthstarError(f"release {release.release_id} cannot be read, {release.database}: {fault}; {remedy}")

    def check_readable(self, release: Release) -> None:
        """Raise NorthstarError when readers of either kind do not find the published file."""
        self.check_bytes(release)
        if release.is_current and self.layout.told_id() != release.release_id:
            raise NorthstarError(
                f"{self.layout.pointer} does not name the current release {release.release_id}, so that readers of Parquet files"
                " do not find it; `northstar nightly` mends it"
            )

    def columns(self, release: Release) -> dict[str, dict[str, tuple[int, Decimal | None]]]:
        """For each mart and column of a release: rows in which it is not NULL, and its sum if it is money."""
        found = {}
        with self.opened({"release": release.database}) as connection:
            for mart, record in release.manifest.marts.items():
                asked = ", ".join(
                    f"(count({name}), {f'sum({name})' if column.type in _MONEY else 'NULL'})"
                    for column in record.columns
                    for name in (identifier(column.name),)
                )
                [row] = connection.execute(f"SELECT {asked} FROM release.{identifier(mart)}").fetchall()
                found[mart] = {column.name: cell for column, cell in zip(record.columns, row, strict=True)}
        return found

    def query(self, sql: str) -> duckdb.DuckDBPyConnection:
        """Run one SELECT against the current release; the caller fetches from the connection returned and closes it.

        Tables are named `marts.mart_x` or `mart_x`. The connection can read only that release: no other file, no network, no
        change of settings. Raises `UserError` for any other statement, and with DuckDB's message for an invalid one.
        """
        release = self._require_current()
        connection = self._connect()
        try:
            connection.execute(_attach("marts", release.database))
            connection.execute("USE marts")
            connection.execute("SET enable_external_access = false")
            connection.execute("SET lock_configuration = true")
            # Without external access the attached file itself stays writable: COPY … (USE_TMP_FILE false) overwrote a release
            # attached read-only (tried with 1.5.5), so only a SELECT may run.
            statements = connection.extract_statements(sql)
            if [statement.type for statement in statements] != [duckdb.StatementType.SELECT]:
                raise UserError("a query is one SELECT statement (WITH, FROM, DESCRIBE, SUMMARIZE and SHOW count as such)")
            return connection.execute(statements[0])
        except duckdb.Error as error:
            connection.close()
            self.check_readable(release)
            raise UserError(f"the query failed: {str(error).strip()}") from None
        except BaseException:
            connection.close()
            raise

    @contextmanager
    def opened(self, files: Mapping[str, Path]) -> Iterator[duckdb.DuckDBPyConnection]:
        """Yield a connection with these files attached read-only, each under its name, and close it at the end."""
        with closing(self._connect()) as connection:
            for name, file in files.items():
                connection.execute(_attach(name, file))
            yield connection

    def _connect(self) -> duckdb.DuckDBPyConnection:
        return duck.connect(memory_limit=self._memory_limit, temp_directory=self.home / "tmp")

    def _require_current(self) -> Release:
        release = self.current()
        if release is None:
            if known := self.releases():
                raise NorthstarError(
                    f"{self.layout.link} is missing, so that readers find no release; `northstar nightly` mends it, or"
                    f" `northstar rollback` to one that there is ({', '.join(each.release_id for each in known[:5])})"
                )
            raise UserError("there is no release yet; run `northstar nightly`")
        return release

    def load(self, release_id: str, current_id: str | None) -> Release:
        """Read a release from its folder; NorthstarError when its manifest is damaged. current_id: the current release."""
        path = self.layout.releases / release_id
        return Release(release_id, path, Manifest.read(path / "manifest.json"), is_current=release_id == current_id)


def _attach(name: str, file: Path) -> str:
    return f"ATTACH {literal(str(file))} AS {identifier(name)} (READ_ONLY)"


def count(connection: duckdb.DuckDBPyConnection, sql: str) -> int:
    """Return the integer that a statement selects."""
    return int(connection.execute(sql).fetchall()[0][0])
