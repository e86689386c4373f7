"""Releases on disk: build a candidate, promote it, look at it, go back to an older one, throw old ones away.

Belongs here: everything below `<home>/published`. Does not belong here: whether the data is good (the gate hands a `Verdict`
in) or what a manifest holds (`manifest`).

    published/.candidate-<id>/    being built or judged
    published/releases/<id>/      a release; its files are read-only and never change
    published/marts.duckdb        link to the current release's file. Replacing it is the moment of commit, and it alone decides
                                  which release is current
    published/current.json        the same in words, for readers of the Parquet files; replaced right after the link
    published/promoting.json      exists while a promotion is under way, so that `recover` finds what was cut off

Link and `current.json` are drafted under the writer's token before the lock is checked for the last time, and every writer begins
by removing all drafts. So a writer that stops between that check and the commit, and wakes after another one has taken over,
finds nothing to commit; and what needs room on the disk is written before anything that readers see.
"""

import difflib
import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from orchestration import digests
from orchestration.durable import replace_text, sync_path, sync_tree
from orchestration.errors import NorthstarError, UserError
from orchestration.pseudonyms import PUBLISHED, Key, pseudonym_sql
from orchestration.publishing.lock import StaleToken, WriterLock
from orchestration.publishing.manifest import (
    Changes,
    ErasureRecord,
    GateRecord,
    Manifest,
    MartRecord,
    PseudonymRecord,
    SchemaChange,
    SourceRecord,
    breaking,
    read_columns,
    schema_changes,
    table_digest,
)
from orchestration.publishing.retention import kept
from orchestration.sql import identifier, literal

DATABASE = "marts.duckdb"
STORAGE_VERSION = "v1.0.0"  # the oldest that DuckDB 1.x writes and every 1.x client opens
SPACE_MARGIN = 64 * 1024**2  # bytes left free beside a release
_CELL_BYTES = 16  # a cell before compression: generous for numbers and dates, fair for ids
_logger = logging.getLogger("northstar.night")

_ID = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{6}")
_MART = re.compile(r"[a-z][a-z0-9_]*")
_MONEY = ("DECIMAL(18,2)", "DECIMAL(18,4)")
_OF_PERSONS = frozenset({"person", "user"})

Comments = Mapping[str, tuple[str, Mapping[str, str]]]
Pseudonyms = Mapping[str, Mapping[str, str]]


class PublishRefused(NorthstarError):  # noqa: N818 - says what happened
    """A candidate that must not become the current release; the current one stands."""


@dataclass(frozen=True)
class Verdict:
    """The gate's word on the very bytes of a candidate's `marts.duckdb`."""

    passed: bool
    marts_sha256: str
    reason: str


@dataclass(frozen=True)
class Candidate:
    """A built release that is not promoted yet; times are aware, in UTC."""

    release_id: str
    path: Path
    created_at: datetime
    published_at: datetime
    data_through: date
    code_version: str
    model_version: str | None
    marts: Mapping[str, MartRecord]
    marts_sha256: str
    pseudonyms: PseudonymRecord | None = None

    @property
    def database(self) -> Path:
        """The candidate's DuckDB file."""
        return self.path / DATABASE

    def manifest(
        self,
        *,
        previous_release_id: str | None,
        config_digest: str,
        dbt_manifest_digest: str,
        sources: Mapping[str, SourceRecord],
        left_out: Mapping[str, str],
        gate: GateRecord,
        timings: Mapping[str, float],
        previous_key: str | None = None,
        erasure: ErasureRecord | None = None,
        schema_changes: Sequence[SchemaChange] = (),
        changes: Changes | None = None,
    ) -> Manifest:
        """Complete what the build knows with what the night knows; previous_key: fingerprint of the last release's key."""
        pseudonyms = self.pseudonyms
        if pseudonyms is not None and previous_key not in {None, pseudonyms.key}:
            pseudonyms = replace(pseudonyms, previous_key=previous_key)
        return Manifest(
            release_id=self.release_id,
            previous_release_id=previous_release_id,
            created_at=self.created_at,
            published_at=self.published_at,
            data_through=self.data_through,
            code_version=self.code_version,
            model_version=self.model_version,
            config_digest=config_digest,
            dbt_manifest_digest=dbt_manifest_digest,
            sources=sources,
            marts=self.marts,
            left_out=left_out,
            gate=gate,
            timings=timings,
            marts_sha256=self.marts_sha256,
            pseudonyms=pseudonyms,
            erasure=erasure,
            schema_changes=tuple(schema_changes),
            changes=changes,
        )


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


class ReleaseStore:
    """The releases of one home. `memory_limit` (as DuckDB writes it, `8GB`) bounds each connection opened here."""

    def __init__(self, home: Path, *, memory_limit: str | None = None) -> None:
        self.home = home
        self.published = home / "published"
        self._folder = self.published / "releases"
        self._link = self.published / DATABASE
        self._pointer = self.published / "current.json"
        self._intent = self.published / "promoting.json"
        self._memory_limit = memory_limit
        self._damaged: set[str] = set()

    # Building

    def build(
        self,
        warehouse: duckdb.DuckDBPyConnection | Path,
        marts: Sequence[str],
        *,
        data_through: date,
        code_version: str,
        model_version: str | None,
        order_by: Mapping[str, Sequence[str]] | None = None,
        comments: Comments | None = None,
        pseudonyms: Pseudonyms | None = None,
        key: Callable[[], Key] | None = None,
        versions: Mapping[str, int] | None = None,
        published_until: Mapping[str, date] | None = None,
        release_id: str | None = None,
    ) -> Candidate:
        """Copy the warehouse's tables `marts.<mart>` into a fresh candidate folder, as one DuckDB file and a Parquet file each.

        warehouse: the build file, or an open connection to it with no transaction under way. order_by: mart → its grain, by
        which its rows are stored. comments: mart → (comment, {column: comment}). pseudonyms: mart → {column: domain}, columns of
        ids that are replaced by keyed pseudonyms before the rows are ordered; `key` gives their key, and is called if there are
        any. versions: mart → version of its columns, 1 where it is not named. published_until: mart → its last day, where it is
        going. All of them may name marts that are left out.
        Raises `NorthstarError` when a mart or a named column is missing, or when the disk is too full; then no candidate is left.
        """
        if not marts or len(set(marts)) != len(marts) or not all(_MART.fullmatch(mart) for mart in marts):
            raise NorthstarError(f"a release needs distinct marts with lower-case names, not {list(marts)}")
        created_at = datetime.now(UTC)
        if release_id is None:
            release_id = new_release_id(code_version, data_through)
        elif not _ID.fullmatch(release_id):
            raise NorthstarError(f"{release_id!r} is no release id (like 20261121T193000Z-3f9a1c)")
        path = self.published / f".candidate-{release_id}"
        if path.exists() or (self._folder / release_id).exists():
            raise NorthstarError(f"release {release_id} exists already")

        order_by, comments = order_by or {}, comments or {}
        replaced = {mart: columns for mart, columns in (pseudonyms or {}).items() if mart in marts and columns}
        secret = key() if key is not None and replaced else None
        if replaced and secret is None:
            raise NorthstarError(f"ids in {', '.join(replaced)} are published as pseudonyms, and there is no key to make them")
        with self._warehouse(warehouse) as (connection, catalog):
            self._check_marts(connection, catalog, marts, order_by, comments, replaced)
            if secret is not None:
                secret.bind(connection)
            self._check_space(connection, catalog, marts)
            try:
                (path / "parquet").mkdir(parents=True)
                with _attached(connection, path / DATABASE) as target:
                    counts = _copy_marts(connection, catalog, target, marts, order_by, comments, replaced)
                    published_at = datetime.now(UTC)
                    _sign(
                        connection,
                        target,
                        [release_id, data_through, published_at.replace(tzinfo=None), code_version, model_version, counts],
                    )
                records = self._measure(path, marts, versions or {}, published_until or {})
                sync_tree(path)
                sha256 = digests.of_file(path / DATABASE)
            except BaseException as error:
                shutil.rmtree(path, ignore_errors=True)
                if isinstance(error, duckdb.Error | OSError):
                    reason = _in_words(error) if isinstance(error, OSError) else error
                    raise NorthstarError(f"release {release_id} could not be built, nothing was published: {reason}") from error
                raise
        return Candidate(
            release_id=release_id,
            path=path,
            created_at=created_at,
            published_at=published_at,
            data_through=data_through,
            code_version=code_version,
            model_version=model_version,
            marts=records,
            marts_sha256=sha256,
            pseudonyms=None if secret is None else PseudonymRecord(secret.fingerprint, replaced),
        )

    @contextmanager
    def _warehouse(self, warehouse: duckdb.DuckDBPyConnection | Path) -> Iterator[tuple[duckdb.DuckDBPyConnection, str]]:
        if isinstance(warehouse, Path):
            with self.opened({"warehouse": warehouse}) as connection:
                yield connection, "warehouse"
        else:
            yield warehouse, str(warehouse.execute("SELECT current_database()").fetchall()[0][0])

    @contextmanager
    def opened(self, files: Mapping[str, Path]) -> Iterator[duckdb.DuckDBPyConnection]:
        """Give a connection with these files attached read-only, each under its name, and close it on leaving."""
        with closing(duckdb.connect(config={"temp_directory": str(self.home / "tmp")})) as connection:
            self._set_up(connection, files)
            yield connection

    def _set_up(self, connection: duckdb.DuckDBPyConnection, files: Mapping[str, Path]) -> None:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET enable_progress_bar = false")  # it would be drawn over what a command prints
        if self._memory_limit:
            connection.execute(f"SET memory_limit = {literal(self._memory_limit)}")
        for name, file in files.items():
            connection.execute(f"ATTACH {literal(str(file))} AS {identifier(name)} (READ_ONLY)")

    @staticmethod
    def _check_marts(
        connection: duckdb.DuckDBPyConnection,
        catalog: str,
        marts: Sequence[str],
        order_by: Mapping[str, Sequence[str]],
        comments: Comments,
        pseudonyms: Pseudonyms,
    ) -> None:
        found: dict[str, dict[str, str]] = {}
        for table, column, type_ in connection.execute(
            "SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE database_name = ? AND schema_name = 'marts'",
            [catalog],
        ).fetchall():
            found.setdefault(table, {})[column] = type_
        if missing := [mart for mart in marts if mart not in found]:
            raise NorthstarError(
                f"the warehouse has no {', '.join(missing)} in its schema marts; it has {', '.join(sorted(found))}"
            )
        for mart in marts:
            for what, named in (
                ("grain", order_by.get(mart, ())),
                ("comments", comments.get(mart, ("", {}))[1]),
                ("pseudonyms", pseudonyms.get(mart, {})),
            ):
                if unknown := [column for column in named if column not in found[mart]]:
                    raise NorthstarError(f"the {what} of {mart} names columns that it does not have: {', '.join(unknown)}")
            for column, domain in pseudonyms.get(mart, {}).items():
                if domain not in PUBLISHED:
                    raise NorthstarError(f"{mart}.{column} is a pseudonym of {domain!r}; known are {', '.join(PUBLISHED)}")
                if found[mart][column] != "VARCHAR":
                    raise NorthstarError(f"{mart}.{column} is a pseudonym and no VARCHAR but {found[mart][column]}")

    def _check_space(self, connection: duckdb.DuckDBPyConnection, catalog: str, marts: Sequence[str]) -> None:
        cells = 0
        for mart in marts:
            relation = f"{identifier(catalog)}.marts.{identifier(mart)}"
            rows = _count(connection, f"SELECT count(*) FROM {relation}")
            cells += rows * len(read_columns(connection, relation))
        # Twice: the DuckDB file and the Parquet files.
        needed = 2 * cells * _CELL_BYTES + SPACE_MARGIN
        self.published.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.published).free
        if free < needed:
            raise NorthstarError(
                f"{self.published} has {free / 1024**2:,.0f} MB free, and a release of {len(marts)} marts needs about"
                f" {needed / 1024**2:,.0f} MB: free some space or keep fewer releases; nothing was published"
            )

    def _measure(
        self, path: Path, marts: Sequence[str], versions: Mapping[str, int], published_until: Mapping[str, date]
    ) -> dict[str, MartRecord]:
        """Write the Parquet files and count and hash the rows, all from the finished file as a reader will see it."""
        records = {}
        with self.opened({"candidate": path / DATABASE}) as connection:
            for mart in marts:
                table = f"candidate.{identifier(mart)}"
                file = path / "parquet" / f"{mart}.parquet"
                connection.execute(f"COPY (FROM {table}) TO {literal(str(file))} (FORMAT parquet, COMPRESSION zstd)")
                records[mart] = MartRecord(
                    rows=_count(connection, f"SELECT count(*) FROM {table}"),
                    digest=table_digest(connection, table),
                    columns=read_columns(connection, table),
                    bytes=file.stat().st_size,
                    version=versions.get(mart, 1),
                    published_until=published_until.get(mart),
                )
        return records

    def columns(self, release: Release) -> dict[str, dict[str, tuple[int, Decimal | None]]]:
        """Of each mart and column of a release the rows in which it is not NULL, and the sum of one that is money."""
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

    # Becoming and staying current

    def schema_changes(self, candidate: Candidate, left_out: Collection[str] = ()) -> list[SchemaChange]:
        """What the candidate's marts have otherwise than those of the current release, marts that are left out apart."""
        current = self.current()
        changes = schema_changes(current.manifest.marts, candidate.marts) if current else []
        return [change for change in changes if change.mart not in left_out]

    def promote(self, candidate: Candidate, verdict: Verdict, manifest: Manifest, lock: WriterLock) -> Release:
        """Make a candidate the current release; or raise `PublishRefused`, and the current release stands.

        Refused: a failed verdict, or one on other bytes than are there now; a manifest of something else; a lock that is not held
        or was taken over; a disk that fails or is full; a mart or column that the current release has and the candidate lacks or
        types differently, unless the manifest leaves the mart out or its version was raised.
        """
        name = f"release {candidate.release_id}"
        try:
            return self._promote(candidate, verdict, manifest, lock)
        except (OSError, StaleToken) as error:
            if self._linked_id() == candidate.release_id:
                raise
            self._withdraw(candidate)
            raise PublishRefused(f"{name} is refused: {_in_words(error, lock)}. The current release stands") from error

    def _promote(self, candidate: Candidate, verdict: Verdict, manifest: Manifest, lock: WriterLock) -> Release:
        self._check_lock(lock)
        self._settle(lock)
        current = self.current()
        changes = self.schema_changes(candidate, manifest.left_out)
        if reasons := self._refusals(candidate, verdict, manifest, current, changes):
            raise PublishRefused(f"release {candidate.release_id} is refused: {'; '.join(reasons)}. The current release stands")
        if broken := breaking(changes):
            raise PublishRefused(_refusal_of_schema(candidate, broken))

        replace_text(candidate.path / "manifest.json", manifest.to_json())
        sync_tree(candidate.path)
        self._folder.mkdir(exist_ok=True)
        lock.check()
        replace_text(self._intent, json.dumps({"release_id": candidate.release_id, "token": lock.token}))
        path = candidate.path.rename(self._folder / candidate.release_id)
        sync_path(self._folder)
        sync_path(self.published)
        self._point_to(candidate.release_id, manifest, lock)
        self._forget_intent(candidate.release_id)
        return Release(candidate.release_id, path, manifest, is_current=True)

    def _withdraw(self, candidate: Candidate) -> None:
        """Take back what a promotion put in place before its commit; what fails of that, `recover` does."""
        intent, folder = self._intended(), self._folder / candidate.release_id
        if intent is not None and intent["release_id"] == candidate.release_id:
            with suppress(OSError):
                if folder.is_dir():
                    folder.rename(candidate.path)
                self._forget_intent(candidate.release_id)

    @staticmethod
    def _refusals(
        candidate: Candidate,
        verdict: Verdict,
        manifest: Manifest,
        current: Release | None,
        changes: Sequence[SchemaChange],
    ) -> list[str]:
        reasons = []
        if not verdict.passed:
            reasons.append(f"the gate failed ({verdict.reason})")
        sha256 = digests.of_file(candidate.database)
        if sha256 != verdict.marts_sha256:
            reasons.append(f"{DATABASE} has SHA-256 {sha256[:12]}…, the gate judged {verdict.marts_sha256[:12]}…")
        previous = current.release_id if current else None
        for field, told, known in (
            ("release_id", manifest.release_id, candidate.release_id),
            ("previous_release_id", manifest.previous_release_id, previous),
            ("published_at", manifest.published_at, candidate.published_at),
            ("data_through", manifest.data_through, candidate.data_through),
            ("marts", manifest.marts, candidate.marts),
            ("marts_sha256", manifest.marts_sha256, sha256),
            ("pseudonyms", manifest.key_fingerprint, candidate.pseudonyms and candidate.pseudonyms.key),
            ("gate.passed", manifest.gate.passed, verdict.passed),
            ("schema_changes", manifest.schema_changes, tuple(changes)),
        ):
            if told != known:
                is_long = field in {"marts", "schema_changes"}
                reasons.append(
                    f"its manifest lists other {field.replace('_', ' ')}"
                    if is_long
                    else f"its manifest's {field} is {told}, not {known}"
                )
        return reasons

    def recover(self, lock: WriterLock) -> list[str]:
        """Clear away what a killed run left; returns what was done, in words. To be called first in a night.

        Which release is current does not change by it. Raises `NorthstarError` when that one is missing or damaged, which only
        `rollback` can mend.
        """
        self._check_lock(lock)
        done = self._settle(lock)
        told, current = self._told_id(), self.current()
        if current is None and told and (self._folder / told).is_dir():
            self._point_to(told, self._load(told, told).manifest, lock)
            done.append(f"restored the link to release {told}")
        elif current and current.release_id != told:
            self._point_to(current.release_id, current.manifest, lock)
            done.append(f"corrected current.json to release {current.release_id}")
        if self.published.is_dir():
            for path in sorted(self.published.iterdir()):
                if path.name.startswith((".candidate-", ".removed-")):
                    lock.check()
                    # A writer that was taken over may still be writing there: what it leaves goes next time.
                    shutil.rmtree(path, ignore_errors=True)
                    done.append(f"removed the leftover {path.name}")
                elif path.name.endswith(".draft"):
                    path.unlink()
        return done

    def rollback(self, release_id: str, lock: WriterLock) -> Release:
        """Make an older (or newer) release the current one, after checking its bytes against its manifest.

        Raises `UserError` for an unknown or already current release, `PublishRefused` when its file was changed or damaged, or
        the disk fails or is full.
        """
        self._check_lock(lock)
        self._settle(lock)
        release = self.release(release_id)
        if release.is_current:
            raise UserError(f"release {release_id} is the current one already")
        if not release.database.is_file() or digests.of_file(release.database) != release.manifest.marts_sha256:
            raise PublishRefused(f"{release.database} is not the file that was published; the current release stands")
        try:
            self._point_to(release_id, release.manifest, lock)
        except OSError as error:
            if self._linked_id() == release_id:
                raise
            raise PublishRefused(f"the rollback failed: {_in_words(error, lock)}; the current release stands") from error
        return self._load(release_id, release_id)

    def prune(self, keep: int, lock: WriterLock, *, months: int = 12, timezone: tzinfo = UTC) -> list[str]:
        """Remove all releases but those that `retention.kept` names; returns the removed ids, newest first.

        Never the current one, nor the one that it replaced, so that there is one to go back to. Months are those of `timezone`.
        """
        if keep < 1:
            raise UserError(f"at least 1 release must be kept, not {keep}")
        self._check_lock(lock)
        self._settle(lock)
        self.current()  # raises where it is damaged, and what it replaced is not known
        releases = self.releases()
        published = {release.release_id: release.manifest.published_at for release in releases}
        staying = kept(published, newest=keep, months=months, timezone=timezone)
        for release in releases:
            if release.is_current:
                staying |= {release.release_id, release.manifest.previous_release_id or ""}
        return self._remove([release for release in releases if release.release_id not in staying], lock)

    def remove(self, release_ids: Collection[str], lock: WriterLock) -> list[str]:
        """Remove these releases; returns the removed ids, newest first. Raises `UserError` for the current one."""
        self._check_lock(lock)
        self._settle(lock)
        chosen = [release for release in self.releases() if release.release_id in release_ids]
        if current := [release.release_id for release in chosen if release.is_current]:
            raise UserError(f"release {current[0]} is the current one and cannot be removed")
        return self._remove(chosen, lock)

    def _remove(self, releases: Sequence[Release], lock: WriterLock) -> list[str]:
        for release in releases:
            lock.check()
            # Renamed first, so that a kill half-way leaves no half release under a release's name.
            shutil.rmtree(release.path.rename(self.published / f".removed-{release.release_id}"))
        return [release.release_id for release in releases]

    def holding(
        self,
        pseudonyms: Collection[str],
        key: Callable[[], Key],
        is_named: Callable[[duckdb.DuckDBPyConnection, str], bool] = lambda *_: False,
    ) -> list[str]:
        """Releases that hold one of these pseudonyms of persons or users, newest first; the current one may be among them.

        Pseudonyms of another key than `key` gives cannot be compared: a release that has some counts as holding one.
        is_named: whether an erased id stands in a relation's column `text`; asked of the texts that are no pseudonyms.
        """
        if not pseudonyms:
            return []
        fingerprint = key().fingerprint
        found = []
        for release in self.releases():
            record = release.manifest.pseudonyms
            columns = [
                (mart, column)
                for mart, named in (record.columns if record else {}).items()
                for column, domain in named.items()
                if domain in _OF_PERSONS
            ]
            published = {} if record is None else record.columns
            if (record and columns and (record.key != fingerprint or self._holds(release, columns, pseudonyms))) or self._names(
                release, published, is_named
            ):
                found.append(release.release_id)
        return found

    def _names(
        self,
        release: Release,
        pseudonyms: Mapping[str, Mapping[str, str]],
        is_named: Callable[[duckdb.DuckDBPyConnection, str], bool],
    ) -> bool:
        with self.opened({"release": release.database}) as connection:
            columns = connection.execute(
                "SELECT table_name, column_name FROM duckdb_columns() "
                "WHERE database_name = 'release' AND schema_name = 'main' AND data_type = 'VARCHAR' ORDER BY ALL"
            ).fetchall()
            texts = [
                f"SELECT {identifier(column)} AS text FROM release.{identifier(mart)}"
                for mart, column in columns
                if column not in pseudonyms.get(mart, {})
            ]
            return bool(texts) and is_named(connection, " UNION ALL ".join(texts))

    def _holds(self, release: Release, columns: Sequence[tuple[str, str]], pseudonyms: Collection[str]) -> bool:
        with self.opened({"release": release.database}) as connection:
            connection.execute("CREATE TEMP TABLE wanted AS SELECT unnest(?::VARCHAR[]) AS pseudonym", [list(pseudonyms)])
            found = "SELECT count(*) FROM release.{} SEMI JOIN wanted ON pseudonym = {}"
            return any(_count(connection, found.format(identifier(mart), identifier(column))) for mart, column in columns)

    def _check_lock(self, lock: WriterLock) -> None:
        if lock.home.resolve() != self.home.resolve():
            raise StaleToken(f"the lock is on {lock.home}, not on {self.home}")
        lock.check()

    def _point_to(self, release_id: str, manifest: Manifest, lock: WriterLock) -> None:
        link, pointer = (path.with_name(f".{path.name}.{lock.token}.draft") for path in (self._link, self._pointer))
        told = {
            "release_id": release_id,
            "path": f"releases/{release_id}",
            "data_through": manifest.data_through.isoformat(),
            "published_at": manifest.published_at.isoformat(),
        }
        pointer.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
        sync_path(pointer)
        link.symlink_to(f"releases/{release_id}/{DATABASE}")
        lock.check()
        link.replace(self._link)
        with suppress(FileNotFoundError):  # a later writer has taken over, and tells readers what is current
            pointer.replace(self._pointer)
        sync_path(self.published)

    def _settle(self, lock: WriterLock) -> list[str]:
        """Clear away what earlier writers drafted, and a promotion that was cut off: finished if its link was in place."""
        token = lock.token or 0
        for path in (self._link, self._pointer):
            for draft in self.published.glob(f".{path.name}.*.draft"):
                if int(draft.name.split(".")[-2]) <= token:
                    draft.unlink(missing_ok=True)
        intent = self._intended()
        if intent is None:
            return []
        if intent["token"] > token:
            lock.check()
        if not intent["release_id"]:
            self._intent.unlink(missing_ok=True)
            return [f"removed {self._intent.name}, which could not be read"]
        done, release_id = [], intent["release_id"]
        folder = self._folder / release_id
        if self._linked_id() == release_id:
            self._point_to(release_id, self._load(release_id, release_id).manifest, lock)
            done.append(f"finished the promotion of release {release_id}")
        elif folder.is_dir():
            shutil.rmtree(folder.rename(self.published / f".removed-{release_id}"))
            done.append(f"removed release {release_id}, whose promotion was cut off")
        self._forget_intent(release_id)
        return done

    def _intended(self) -> dict[str, Any] | None:
        """What the promotion under way names: its release, which is empty where the file is damaged, and its token."""
        try:
            told = json.loads(self._intent.read_text(encoding="utf-8", errors="replace"))
        except FileNotFoundError:
            return None
        except ValueError:
            told = None
        fields = told if isinstance(told, dict) else {}
        release_id, token = fields.get("release_id"), fields.get("token", 0)
        if not isinstance(release_id, str) or not _ID.fullmatch(release_id) or not isinstance(token, int):
            return {"release_id": "", "token": 0}
        return {"release_id": release_id, "token": token}

    def _forget_intent(self, release_id: str) -> None:
        intent = self._intended()
        if intent is not None and intent["release_id"] == release_id:  # else it is a later writer's
            self._intent.unlink(missing_ok=True)
            sync_path(self.published)

    # Looking

    def current(self) -> Release | None:
        """Load the release that the link points to; None before the first one."""
        release_id = self._linked_id()
        if release_id is None:
            return None
        if not (self._folder / release_id).is_dir():
            raise NorthstarError(f"the current release {release_id} is gone; {self._remedy(release_id)}")
        try:
            return self._load(release_id, release_id)
        except NorthstarError as error:
            raise NorthstarError(f"{error}; {self._remedy(release_id)}") from None

    def _remedy(self, damaged: str) -> str:
        """What brings readers a release again when the current one is damaged."""
        others = [release.release_id for release in self.releases() if release.release_id != damaged]
        if others:
            return f"`northstar rollback` to another one (there is {', '.join(others[:5])})"
        return f"there is no other one: move {self._folder / damaged} and {self._link} away, and run `northstar nightly`"

    def releases(self) -> list[Release]:
        """All releases, newest first by the time they were made; damaged ones are left out with a warning."""
        current = self._linked_id()
        ids = [path.name for path in self._folder.iterdir() if _ID.fullmatch(path.name)] if self._folder.is_dir() else []
        found = []
        for release_id in ids:
            try:
                found.append(self._load(release_id, current))
            except NorthstarError as error:
                # What to do about the current one is said where it is needed.
                if release_id not in self._damaged and release_id != current:
                    _logger.warning("%s; move %s away", error, self._folder / release_id)
                self._damaged.add(release_id)
        return sorted(found, key=lambda release: (release.manifest.published_at, release.release_id), reverse=True)

    def release(self, release_id: str) -> Release:
        """Find a release by its id; raises `UserError` that names the nearest ones."""
        known = {release.release_id: release for release in self.releases()}
        if release_id in known:
            return known[release_id]
        if release_id in self._damaged:
            return self._load(release_id, None)
        if not known:
            raise UserError("there is no release yet; run `northstar nightly`")
        near = difflib.get_close_matches(release_id, known, n=3) or list(known)[:5]
        raise UserError(f"there is no release {release_id!r}; there is {', '.join(near)} (see `northstar releases`)")

    def age(self, now: datetime) -> timedelta:
        """How long before `now` (aware) the current release was made; raises `UserError` when there is none."""
        return now - self._require_current().manifest.published_at

    def check_readable(self, release: Release) -> None:
        """Raise NorthstarError when the file that readers open is gone, cut off or another than was published."""
        path = self._link if release.is_current else release.database
        fault = None
        try:
            if digests.of_file(path) != release.manifest.marts_sha256:
                fault = "it is not the file that was published"
        except OSError as error:
            fault = str(error.strerror)
        if fault:
            raise NorthstarError(
                f"release {release.release_id} cannot be read, {release.database}: {fault}. `northstar rollback` to another"
                " release (`northstar releases` lists them), or build it again with `northstar rebuild`"
            )
        if release.is_current and self._told_id() != release.release_id:
            raise NorthstarError(
                f"{self._pointer} does not name the current release {release.release_id}, so that readers of Parquet files do not"
                " find it; `northstar nightly` mends it"
            )

    def query(self, sql: str) -> duckdb.DuckDBPyConnection:
        """Run one SELECT against the current release; the caller fetches from the connection returned and closes it.

        Tables are found as `marts.mart_x` and as `mart_x`. The connection reads that release and nothing else: no other file, no
        network, no setting can be changed. Raises `UserError` for any other statement and with DuckDB's words for a wrong one.
        """
        release = self._require_current()
        connection = duckdb.connect(config={"temp_directory": str(self.home / "tmp")})
        try:
            self._set_up(connection, {"marts": release.database})
            connection.execute("USE marts")
            connection.execute("SET enable_external_access = false")
            connection.execute("SET lock_configuration = true")
            # External access off still allows the attached file itself: COPY … (USE_TMP_FILE false) overwrote a release attached
            # read-only when tried (1.5.5), so that only a SELECT may run.
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

    def _require_current(self) -> Release:
        release = self.current()
        if release is None:
            if known := self.releases():
                raise NorthstarError(
                    f"{self._link} is missing, so that readers find no release; `northstar nightly` mends it, or"
                    f" `northstar rollback` to one that there is ({', '.join(each.release_id for each in known[:5])})"
                )
            raise UserError("there is no release yet; run `northstar nightly`")
        return release

    def _linked_id(self) -> str | None:
        try:
            target = self._link.readlink()
        except FileNotFoundError:
            return None
        except OSError:
            raise NorthstarError(f"{self._link} must be a link into releases/, and is a file of its own; move it away") from None
        parts = target.parts
        if len(parts) != 3 or parts[0] != "releases" or not _ID.fullmatch(parts[1]) or parts[2] != DATABASE:
            raise NorthstarError(f"{self._link} points to {target}, which is no release of this home")
        return parts[1]

    def _told_id(self) -> str | None:
        try:
            told = json.loads(self._pointer.read_text(encoding="utf-8"))["release_id"]
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
        return told if isinstance(told, str) and _ID.fullmatch(told) else None

    def _load(self, release_id: str, current_id: str | None) -> Release:
        path = self._folder / release_id
        return Release(release_id, path, Manifest.read(path / "manifest.json"), is_current=release_id == current_id)


def _in_words(error: OSError | StaleToken, lock: WriterLock | None = None) -> str:
    """Why a step failed: because the lock was taken over, if it was, whatever that made fail; else what the system says."""
    if isinstance(error, StaleToken):
        return str(error)
    try:
        if lock is not None:
            lock.check()
    except StaleToken as stale:
        return str(stale)
    return f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error)


def _refusal_of_schema(candidate: Candidate, broken: Sequence[SchemaChange]) -> str:
    """One line for each change that would break readers, and for each mart what to do about it."""
    lines = [f"release {candidate.release_id} is refused: it breaks what readers rely on. The current release stands"]
    for mart in dict.fromkeys(change.mart for change in broken):
        lines += [f"  {change.detail}" for change in broken if change.mart == mart]
        record = candidate.marts.get(mart)
        if record is None:
            advice = f"bring the model back with a `deprecation_date`: until that day {mart} is published, and then it may go"
        elif any(change.mart == mart and change.kind == "lowered" for change in broken):
            advice = "a version never falls: put the one that was published, or a higher one, into the model's `meta`"
        else:
            advice = (
                f"undo this, or give the model `meta: {{version: {record.version + 1}}}`; the old form may stay beside it for a"
                f" time, as a model {mart}_v{record.version} with a `deprecation_date`"
            )
        lines.append(f"    {advice}")
    return "\n".join(lines)


def new_release_id(code_version: str, data_through: date) -> str:
    """Name a release that is about to be built: the second, and six digits that another process would not choose."""
    now = datetime.now(UTC)
    identity = json.dumps([now.isoformat(), os.getpid(), code_version, data_through.isoformat()])
    return f"{now:%Y%m%dT%H%M%SZ}-{hashlib.sha256(identity.encode()).hexdigest()[:6]}"


@contextmanager
def _attached(connection: duckdb.DuckDBPyConnection, file: Path) -> Iterator[str]:
    """Attach a fresh file under a plain name; it is checkpointed at the end, and has no write-ahead log once it is closed."""
    target = "northstar_candidate"
    connection.execute(f"ATTACH {literal(str(file))} AS {target} (STORAGE_VERSION '{STORAGE_VERSION}')")
    try:
        yield target
        connection.execute(f"CHECKPOINT {target}")
    finally:
        connection.execute(f"DETACH {target}")
    if file.with_name(f"{file.name}.wal").exists():
        raise NorthstarError(f"{file} still has a write-ahead log after its checkpoint; nothing was published")


def _copy_marts(
    connection: duckdb.DuckDBPyConnection,
    catalog: str,
    target: str,
    marts: Sequence[str],
    order_by: Mapping[str, Sequence[str]],
    comments: Comments,
    pseudonyms: Pseudonyms,
) -> list[dict[str, str | int]]:
    """Copy as tables (a view would keep naming the build file); returns each mart with its row count.

    They lie in the file's schema `main`: opened, `marts.duckdb` is the catalog `marts`, so that `marts.mart_x` finds them. In
    a schema `marts` of that catalog the same name would be ambiguous to DuckDB (tried with 1.5.5).
    """
    counts: list[dict[str, str | int]] = []
    for mart in marts:
        table = f"{target}.{identifier(mart)}"
        order = ", ".join(identifier(column) for column in order_by.get(mart, ()))
        ids = ", ".join(
            f"{pseudonym_sql(domain, identifier(column))} AS {identifier(column)}"
            for column, domain in pseudonyms.get(mart, {}).items()
        )
        # From a subquery, so that rows are ordered by what is published and their order says nothing about the ids.
        rows = f"SELECT *{f' REPLACE ({ids})' if ids else ''} FROM {identifier(catalog)}.marts.{identifier(mart)}"
        copy = f"CREATE TABLE {table} AS SELECT * FROM ({rows})"
        connection.execute(f"{copy} ORDER BY {order}" if order else copy)
        text, columns = comments.get(mart, ("", {}))
        if text:
            connection.execute(f"COMMENT ON TABLE {table} IS {literal(text)}")
        for column, comment in columns.items():
            connection.execute(f"COMMENT ON COLUMN {table}.{identifier(column)} IS {literal(comment)}")
        counts.append({"mart": mart, "row_count": _count(connection, f"SELECT count(*) FROM {table}")})
    return counts


def _sign(connection: duckdb.DuckDBPyConnection, target: str, values: list[object]) -> None:
    connection.execute(
        f"CREATE TABLE {target}._publication (release_id VARCHAR, data_through DATE, published_at TIMESTAMP,"
        " code_version VARCHAR, model_version VARCHAR, marts STRUCT(mart VARCHAR, row_count BIGINT)[])"
    )
    connection.execute(
        f"COMMENT ON TABLE {target}._publication IS"
        " 'One row: which release this file is. A connection that stays open keeps the release that it opened.'"
    )
    connection.execute(f"INSERT INTO {target}._publication VALUES (?, ?, ?, ?, ?, ?)", values)


def _count(connection: duckdb.DuckDBPyConnection, sql: str) -> int:
    return int(connection.execute(sql).fetchall()[0][0])
