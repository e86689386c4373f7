"""Erasure from rows that enter the lake, and from partitions that are already there.

Belongs here: which partitions hold erased persons, and rewriting them. Does not belong here: who is erased (`ledger`), or the
layout of the lake (`lake`).
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from orchestration.base.pseudonyms import digest_sql
from orchestration.base.sql import exact, identifier, literal
from orchestration.landing.contract import CONTRACT
from orchestration.landing.erasure.columns import columns_of, ids_of, other_id, texts_of
from orchestration.landing.erasure.ledger import Erased, Ledger
from orchestration.landing.erasure.rows import find_ids, find_mentions, naming
from orchestration.landing.lake import Lake, Partition, scan
from orchestration.landing.source import Personal, Source

if TYPE_CHECKING:
    import duckdb

REQUESTS = "erasures"
# Bytes of Parquet rewritten at once, some ten times as many once they are read.
_BATCH_BYTES = 32 * 2**20


def enter(connection: "duckdb.DuckDBPyConnection", lake: Lake, source: Source, ledger: Ledger | None) -> None:
    """Remove erased persons from judged rows before they enter the lake; add ids that these rows reveal to the ledger."""
    if source.name == REQUESTS:
        if ledger is None:
            raise ValueError("requests to be forgotten cannot be ingested without a ledger")
        ledger.take_requests(connection)
    if not ledger:
        return
    ledger.bind(connection)
    if other := other_id(source):
        seen = f"SELECT user_id, {other[1]} FROM judged WHERE reasons IS NULL"
        scan = _scan(lake, source)
        everything = f"{seen} UNION ALL SELECT user_id, {other[1]} FROM ({scan})" if scan else seen
        ledger.take_links(connection, source, seen, everything)
    ledger.mask(connection, source)


def rewrite(lake: Lake, ledger: Ledger, *, memory_limit: str | None = None) -> Erased:
    """Remove persons with pending entries from lake and quarantine; the caller then calls `mark_applied`.

    Replaces atomically each partition that holds one of their rows, and no other. The result equals a fresh ingest of the
    partition's files. Leftovers of killed runs are removed.
    """
    partitions = rows = 0
    refused: set[str] = set()
    with lake.connect(memory_limit) as connection:
        ledger.bind(connection)
        for source in CONTRACT.values():
            if scan := _scan(lake, source):
                ledger.take_links(connection, source, scan, scan)
        for source in CONTRACT.values():
            affected, digests = _affected(connection, lake, source)
            refused |= digests
            for batch in _batches(lake, affected):
                lake.load(connection, source, batch)
                rows += ledger.mask(connection, source)
                lake.write(connection, batch)
                partitions += len(batch)
        known = _known(connection, lake, {entry.token for entry in ledger.pending})
        known |= {entry.token for entry in ledger.pending if entry.in_texts & refused}
        unknown = [entry.digest for entry in ledger.pending if entry.kind == "user" and entry.token not in known]
        misnamed = _misnamed(connection, lake, unknown)
    lake.sweep()
    return Erased(len(known), partitions, rows, len(unknown), misnamed)


def _known(connection: "duckdb.DuckDBPyConnection", lake: Lake, tokens: Collection[str]) -> set[str]:
    """Return the tokens that occur in the lake, except in requests."""
    known: set[str] = set()
    for source in CONTRACT.values():
        columns = columns_of(source, Personal.USER, Personal.MENTION)
        if source.name != REQUESTS and columns and (scan := _scan(lake, source)):
            for column in columns:
                found = f"SELECT DISTINCT {column} FROM ({scan}) WHERE {column} IN (SELECT unnest(?::VARCHAR[]))"
                known |= {token for (token,) in connection.execute(found, [list(tokens)]).fetchall()}
    return known


def _misnamed(connection: "duckdb.DuckDBPyConnection", lake: Lake, digests: Collection[str]) -> int:
    """Count the digests that belong to the id of a device or an account."""
    misnamed: set[str] = set()
    for source in CONTRACT.values() if digests else ():
        columns = columns_of(source, Personal.ANONYMOUS)
        columns += [identifier(column.name) for column in source.columns if column.name == "account_id"]
        if columns and (scan := _scan(lake, source)):
            for column in columns:
                ids = f"SELECT DISTINCT {column} AS id FROM ({scan}) WHERE {column} IS NOT NULL"
                found = f"SELECT digest FROM (SELECT {digest_sql('ledger', 'id')} AS digest FROM ({ids}))"
                wanted = f"{found} WHERE digest IN (SELECT unnest(?::VARCHAR[]))"
                misnamed |= {digest for (digest,) in connection.execute(wanted, [list(digests)]).fetchall()}
    return len(misnamed)


def _scan(lake: Lake, source: Source, partitions: Iterable[Partition] | None = None) -> str | None:
    """Return SQL for the accepted rows of a source; None if there are none."""
    chosen = lake.partitions(source.name).values() if partitions is None else partitions
    files = [path for partition in chosen for path in lake.data_files(partition)]
    return scan(source, files) if files else None


def _affected(connection: "duckdb.DuckDBPyConnection", lake: Lake, source: Source) -> tuple[list[Partition], set[str]]:
    """Return the partitions with a row that `mask` would change, oldest first, and the digests found in refused rows."""
    partitions = lake.partitions(source.name)
    days: set[date] = set()
    digests: set[str] = set()
    if ids_of(source) and (scan := _scan(lake, source, partitions.values())) and find_ids(connection, source, f"({scan})"):
        users = columns_of(source, Personal.USER)
        conditions = [
            f"{column} IN (SELECT id FROM found WHERE kind = 'user')"
            for column in columns_of(source, Personal.USER, Personal.MENTION)
        ]
        if other := other_id(source):
            conditions.append(f"{users[0]} IS NULL AND {other[1]} IN (SELECT id FROM found WHERE kind = '{other[0]}')")
        holding = connection.execute(f"SELECT DISTINCT arrived_date FROM ({scan}) WHERE {' OR '.join(conditions)}")
        days |= {day for (day,) in holding.fetchall()}
    if (scan := _scan(lake, source, partitions.values())) and find_mentions(connection, source, f"({scan})"):
        named = " OR ".join(
            f"{name}::VARCHAR IN (SELECT text FROM mentions WHERE name = {literal(name)})" for name, _ in texts_of(source)
        )
        days |= {day for (day,) in connection.execute(f"SELECT DISTINCT arrived_date FROM ({scan}) WHERE {named}").fetchall()}
    if files := {str(path): day for day, partition in partitions.items() for path in lake.refused_files(partition)}:
        listed = ", ".join(literal(exact(Path(path))) for path in files)
        scan = f"read_parquet([{listed}], filename = true, hive_partitioning = false)"
        rows = f'SELECT filename AS place, "row" AS refused FROM {scan}'
        holding_refused = connection.execute(naming(rows, "place, digest")).fetchall()
        days |= {files[path] for path, _ in holding_refused}
        digests = {digest for _, digest in holding_refused}
    return [partition for day, partition in partitions.items() if day in days], digests


def _batches(lake: Lake, partitions: Sequence[Partition]) -> Iterator[list[Partition]]:
    """Group consecutive partitions into batches of at most `_BATCH_BYTES`; a larger partition is a batch of its own."""
    batch: list[Partition] = []
    size = 0
    for partition in partitions:
        weight = sum(path.stat().st_size for path in lake.data_files(partition))
        if batch and size + weight > _BATCH_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(partition)
        size += weight
    if batch:
        yield batch
