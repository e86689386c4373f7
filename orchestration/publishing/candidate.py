"""Candidates: releases built beside the current one, from the marts of the build file.

Belongs here: copying, ordering, commenting, pseudonymising and measuring the marts. Does not belong here: judging the data (the
gate), and making a candidate the current release (`promotion`).
"""

import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb

from orchestration.base import digests
from orchestration.base.durable import sync_tree
from orchestration.base.errors import NorthstarError
from orchestration.base.pseudonyms import PUBLISHED, Key, pseudonym_sql
from orchestration.base.sql import identifier, literal
from orchestration.marts import MartSpec
from orchestration.publishing.comparison import restatements
from orchestration.publishing.facts import NightRecord, RunFacts
from orchestration.publishing.layout import DATABASE, RELEASE_ID
from orchestration.publishing.lock import in_words
from orchestration.publishing.manifest import (
    Manifest,
    MartRecord,
    PseudonymRecord,
    read_columns,
    table_digest,
)
from orchestration.publishing.release import Releases, count

STORAGE_VERSION = "v1.0.0"  # the oldest version that DuckDB 1.x writes; every 1.x client opens it
SPACE_MARGIN = 64 * 1024**2  # bytes left free beside a release
_CELL_BYTES = 16  # a cell before compression: generous for numbers and dates, fair for ids
_MANY_ROWS, _FEW_VALUES = 200_000, 1_000  # of fewer rows the distinct texts take longer to find than the rows to sort
_MART = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class Candidate:
    """A built release that is not yet promoted; times are aware, in UTC."""

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

    def manifest(self, record: NightRecord) -> Manifest:
        """Combine the facts of the build with those of the night."""
        pseudonyms = self.pseudonyms
        if pseudonyms is not None and record.previous_key not in {None, pseudonyms.key}:
            pseudonyms = replace(pseudonyms, previous_key=record.previous_key)
        return Manifest(
            release_id=self.release_id,
            previous_release_id=record.previous_release_id,
            created_at=self.created_at,
            published_at=self.published_at,
            data_through=self.data_through,
            code_version=self.code_version,
            model_version=self.model_version,
            config_digest=record.config_digest,
            dbt_manifest_digest=record.dbt_manifest_digest,
            sources=record.sources,
            marts=self.marts,
            left_out=record.left_out,
            gate=record.gate,
            timings=record.timings,
            marts_sha256=self.marts_sha256,
            pseudonyms=pseudonyms,
            erasure=record.erasure,
            schema_changes=tuple(record.schema_changes),
            changes=record.changes,
        )


class CandidateBuilder(Releases):
    """Builds candidates in one home."""

    def build(
        self,
        warehouse: duckdb.DuckDBPyConnection | Path,
        specs: Sequence[MartSpec],
        facts: RunFacts,
        *,
        key: Callable[[], Key] | None = None,
    ) -> Candidate:
        """Copy the warehouse's tables `marts.<mart>` into a fresh candidate folder, as one DuckDB file and a Parquet file each.

        warehouse: the build file, or an open connection to it without a transaction. specs: the marts; ids are replaced by
        keyed pseudonyms, and then rows are ordered by the grain. key: returns the key of pseudonyms, called only if there are
        any. The ledger of restatements is filled by comparing the copies with the current release. Raises `NorthstarError` when
        a mart or a declared column is missing, the current release cannot be read, or the disk is too full; no candidate is
        left then.
        """
        marts = [spec.name for spec in specs]
        if not marts or len(set(marts)) != len(marts) or not all(_MART.fullmatch(mart) for mart in marts):
            raise NorthstarError(f"a release needs distinct marts with lower-case names, not {list(marts)}")
        created_at = datetime.now(UTC)
        if not RELEASE_ID.fullmatch(facts.release_id):
            raise NorthstarError(f"{facts.release_id!r} is no release id (like 20261121T193000Z-3f9a1c)")
        path = self.layout.candidate(facts.release_id)
        if path.exists() or (self.layout.releases / facts.release_id).exists():
            raise NorthstarError(f"release {facts.release_id} exists already")

        last = self.current()
        if last is not None:
            self.check_bytes(last)
        replaced = {spec.name: spec.pseudonyms for spec in specs if spec.pseudonyms}
        secret = key() if key is not None and replaced else None
        if replaced and secret is None:
            raise NorthstarError(f"ids in {', '.join(replaced)} are published as pseudonyms, and there is no key to make them")
        with self._warehouse(warehouse) as (connection, catalog):
            self._check_marts(connection, catalog, specs)
            if secret is not None:
                secret.bind(connection)
            self._check_space(connection, catalog, marts)
            try:
                (path / "parquet").mkdir(parents=True)
                with _attached(connection, path / DATABASE) as target:
                    _copy_marts(connection, catalog, target, specs)
                    if restatements.LEDGER in marts:
                        catalogs = restatements.Catalogs(catalog, target)
                        restatements.write(connection, catalogs, {spec.name: spec for spec in specs}, last, facts)
                    published_at = datetime.now(UTC)
                    _sign(connection, target, marts, published_at, facts)
                records = self._measure(path, specs)
                sync_tree(path)
                sha256 = digests.of_file(path / DATABASE)
            except BaseException as error:
                shutil.rmtree(path, ignore_errors=True)
                if isinstance(error, duckdb.Error | OSError):
                    reason = in_words(error) if isinstance(error, OSError) else error
                    raise NorthstarError(
                        f"release {facts.release_id} could not be built, nothing was published: {reason}"
                    ) from error
                raise
        return Candidate(
            release_id=facts.release_id,
            path=path,
            created_at=created_at,
            published_at=published_at,
            data_through=facts.data_through,
            code_version=facts.code_version,
            model_version=facts.model_version,
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

    @staticmethod
    def _check_marts(connection: duckdb.DuckDBPyConnection, catalog: str, specs: Sequence[MartSpec]) -> None:
        found: dict[str, dict[str, str]] = {}
        for table, column, type_ in connection.execute(
            "SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE database_name = ? AND schema_name = 'marts'",
            [catalog],
        ).fetchall():
            found.setdefault(table, {})[column] = type_
        if missing := [spec.name for spec in specs if spec.name not in found]:
            raise NorthstarError(
                f"the warehouse has no {', '.join(missing)} in its schema marts; it has {', '.join(sorted(found))}"
            )
        for spec in specs:
            mart = spec.name
            for what, named in (("grain", spec.grain), ("pseudonyms", spec.pseudonyms), ("comments", spec.column_comments)):
                if unknown := [column for column in named if column not in found[mart]]:
                    raise NorthstarError(f"the {what} of {mart} names columns that it does not have: {', '.join(unknown)}")
            for column, domain in spec.pseudonyms.items():
                if domain not in PUBLISHED:
                    raise NorthstarError(f"{mart}.{column} is a pseudonym of {domain!r}; known are {', '.join(PUBLISHED)}")
                if found[mart][column] != "VARCHAR":
                    raise NorthstarError(f"{mart}.{column} is a pseudonym and no VARCHAR but {found[mart][column]}")

    def _check_space(self, connection: duckdb.DuckDBPyConnection, catalog: str, marts: Sequence[str]) -> None:
        cells = 0
        for mart in marts:
            relation = _in_build(catalog, mart)
            rows = count(connection, f"SELECT count(*) FROM {relation}")
            cells += rows * len(read_columns(connection, relation))
        # Twice: the DuckDB file and the Parquet files.
        needed = 2 * cells * _CELL_BYTES + SPACE_MARGIN
        self.layout.published.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.layout.published).free
        if free < needed:
            raise NorthstarError(
                f"{self.layout.published} has {free / 1024**2:,.0f} MB free, and a release of {len(marts)} marts needs about"
                f" {needed / 1024**2:,.0f} MB: free some space or keep fewer releases; nothing was published"
            )

    def _measure(self, path: Path, specs: Sequence[MartSpec]) -> dict[str, MartRecord]:
        """Write the Parquet files, count and hash the rows, all from the finished file as readers will see it."""
        records = {}
        with self.opened({"candidate": path / DATABASE}) as connection:
            for spec in specs:
                mart, table = spec.name, f"candidate.{identifier(spec.name)}"
                file = path / "parquet" / f"{mart}.parquet"
                connection.execute(f"COPY (FROM {table}) TO {literal(str(file))} (FORMAT parquet, COMPRESSION zstd)")
                records[mart] = MartRecord(
                    rows=count(connection, f"SELECT count(*) FROM {table}"),
                    digest=table_digest(connection, table),
                    columns=read_columns(connection, table),
                    bytes=file.stat().st_size,
                    version=spec.version,
                    published_until=spec.published_until,
                )
        return records


@contextmanager
def _attached(connection: duckdb.DuckDBPyConnection, file: Path) -> Iterator[str]:
    """Attach a new file under a plain name; it is checkpointed at the end and has no write-ahead log once closed."""
    target = "northstar_candidate"
    connection.execute(f"ATTACH {literal(str(file))} AS {target} (STORAGE_VERSION '{STORAGE_VERSION}')")
    try:
        yield target
        connection.execute(f"CHECKPOINT {target}")
    finally:
        connection.execute(f"DETACH {target}")
    if file.with_name(f"{file.name}.wal").exists():
        raise NorthstarError(f"{file} still has a write-ahead log after its checkpoint; nothing was published")


def _copy_marts(connection: duckdb.DuckDBPyConnection, catalog: str, target: str, specs: Sequence[MartSpec]) -> None:
    """Copy as tables (a view would keep referring to the build file).

    They are in the file's schema `main`: an opened `marts.duckdb` is the catalog `marts`, so `marts.mart_x` resolves to them.
    With a schema `marts` in that catalog the name would be ambiguous to DuckDB (tried with 1.5.5).
    """
    for spec in specs:
        table = f"{target}.{identifier(spec.name)}"
        built = _in_build(catalog, spec.name)
        # Ordered by published values, so that the order reveals nothing about the ids.
        rows = _ordered(_published(built, spec.pseudonyms), spec.grain, _enums(connection, built, spec))
        connection.execute(f"CREATE TABLE {table} AS {rows}")
        if spec.comment:
            connection.execute(f"COMMENT ON TABLE {table} IS {literal(spec.comment)}")
        for column, comment in spec.column_comments.items():
            connection.execute(f"COMMENT ON COLUMN {table}.{identifier(column)} IS {literal(comment)}")


def _in_build(catalog: str, mart: str) -> str:
    return f"{identifier(catalog)}.marts.{identifier(mart)}"


def _published(table: str, pseudonyms: Mapping[str, str]) -> str:
    """A query for a mart's rows as readers see them. pseudonyms: column → domain of its ids; each id is hashed once."""
    if not pseudonyms:
        return f"FROM {table}"
    replaced = ", ".join(f"p{place}.pseudonym AS {identifier(column)}" for place, column in enumerate(pseudonyms))
    joins = " ".join(
        f"LEFT JOIN (SELECT id, {pseudonym_sql(domain, 'id')} AS pseudonym FROM (SELECT DISTINCT {identifier(column)} AS id"
        f" FROM {table} WHERE id IS NOT NULL)) AS p{place} ON p{place}.id = mart.{identifier(column)}"
        for place, (column, domain) in enumerate(pseudonyms.items())
    )
    return f"SELECT mart.* REPLACE ({replaced}) FROM {table} AS mart {joins}"


def _ordered(rows: str, grain: Sequence[str], enums: Mapping[str, str]) -> str:
    """A query for rows in the order of their grain. rows: a query. enums: quoted columns that are sorted as such types."""
    if not grain:
        return rows
    order = ", ".join(map(identifier, grain))
    if not enums:
        return f"FROM ({rows}) ORDER BY {order}"
    encoded = ", ".join(f"CAST({text} AS {enum}) AS {text}" for text, enum in enums.items())
    decoded = ", ".join(f"CAST({text} AS VARCHAR) AS {text}" for text in enums)
    # Sorted in a subquery: beside the decoded texts, ORDER BY would mean these.
    return f"SELECT * REPLACE ({decoded}) FROM (FROM (SELECT * REPLACE ({encoded}) FROM ({rows})) ORDER BY {order})"


def _enums(connection: duckdb.DuckDBPyConnection, table: str, spec: MartSpec) -> dict[str, str]:
    """Quoted texts of the grain with few values → an ENUM of these values in their order; none for a mart of few rows.

    Sorted as ENUMs, 1.9 million rows of cohorts take 3.9 CPU seconds to copy instead of 6.3. Pseudonyms are not in the table.
    """
    if count(connection, f"SELECT count(*) FROM {table}") < _MANY_ROWS:
        return {}
    types = {column.name: column.type for column in read_columns(connection, table)}
    enums = {}
    for name in spec.grain:
        if types[name] != "VARCHAR" or name in spec.pseudonyms:
            continue
        text = identifier(name)
        values = connection.execute(
            f"SELECT DISTINCT {text} FROM {table} WHERE {text} IS NOT NULL ORDER BY {text} LIMIT {_FEW_VALUES + 1}"
        ).fetchall()
        if 0 < len(values) <= _FEW_VALUES:
            enums[text] = f"ENUM ({', '.join(literal(value) for (value,) in values)})"
    return enums


def _sign(
    connection: duckdb.DuckDBPyConnection, target: str, marts: Sequence[str], published_at: datetime, facts: RunFacts
) -> None:
    counts = [
        {"mart": mart, "row_count": count(connection, f"SELECT count(*) FROM {target}.{identifier(mart)}")} for mart in marts
    ]
    connection.execute(
        f"CREATE TABLE {target}._publication (release_id VARCHAR, data_through DATE, published_at TIMESTAMP,"
        " code_version VARCHAR, model_version VARCHAR, marts STRUCT(mart VARCHAR, row_count BIGINT)[])"
    )
    connection.execute(
        f"COMMENT ON TABLE {target}._publication IS"
        " 'One row: which release this file is. A connection that stays open keeps the release that it opened.'"
    )
    connection.execute(
        f"INSERT INTO {target}._publication VALUES (?, ?, ?, ?, ?, ?)",
        [
            facts.release_id,
            facts.data_through,
            published_at.replace(tzinfo=None),
            facts.code_version,
            facts.model_version,
            counts,
        ],
    )
