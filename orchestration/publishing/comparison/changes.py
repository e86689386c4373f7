"""Differences between two versions of the marts: rows by their grain, and changed figures of closed periods.

Belongs here: the comparison of a release with another release or with a candidate, in SQL generated from the marts'
declarations. Does not belong here: causes of changed figures (`restatements`), and presentation (`diff`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Protocol

import duckdb

from orchestration.base.sql import identifier, literal
from orchestration.marts import MartSpec, Periods
from orchestration.publishing.manifest import Column, MartRecord, PseudonymRecord, RowChanges, read_columns

# Dimension and segment of a breakdown: they do not affect when a figure is final.
_BREAKDOWN = ("dimension", "segment")


class Described(Protocol):
    """A release's manifest, or a built candidate."""

    @property
    def marts(self) -> Mapping[str, MartRecord]:
        """Its marts by name."""

    @property
    def data_through(self) -> date:
        """Its last complete day."""

    @property
    def pseudonyms(self) -> PseudonymRecord | None:
        """Its pseudonym columns, and their key."""


@dataclass(frozen=True)
class Snapshot:
    """One version of the marts. schema: its quoted SQL name. columns: by mart. digests: by mart, where they are known."""

    schema: str
    columns: Mapping[str, tuple[Column, ...]]
    data_through: date
    digests: Mapping[str, str] = field(default_factory=dict)
    pseudonyms: PseudonymRecord | None = None

    @classmethod
    def of_release(cls, catalog: str, release: Described) -> "Snapshot":
        """A release or a built candidate whose file is attached as `catalog`."""
        columns = {mart: record.columns for mart, record in release.marts.items()}
        digests = {mart: record.digest for mart, record in release.marts.items()}
        return cls(f"{identifier(catalog)}.main", columns, release.data_through, digests, release.pseudonyms)

    @classmethod
    def of_tables(
        cls, connection: duckdb.DuckDBPyConnection, catalog: str, marts: Iterable[str], data_through: date
    ) -> "Snapshot":
        """Marts of a file attached as `catalog` that is not a release yet."""
        schema = f"{identifier(catalog)}.main"
        columns = {mart: read_columns(connection, f"{schema}.{identifier(mart)}") for mart in marts}
        return cls(schema, columns, data_through)

    def table(self, mart: str) -> str:
        """Quoted SQL name of a mart."""
        return f"{self.schema}.{identifier(mart)}"

    def names(self, mart: str) -> set[str]:
        """Columns of a mart."""
        return {column.name for column in self.columns[mart]}


def count_rows(
    connection: duckdb.DuckDBPyConnection, specs: Mapping[str, MartSpec], before: Snapshot, after: Snapshot
) -> dict[str, RowChanges | str]:
    """Count added, removed, changed and unchanged rows of every mart of either side, or say why they cannot be compared.

    Rows are matched by their grain and compared over the other columns that both sides have with the same type, except
    pseudonyms made with different keys. Marts are in the order of their names.
    """
    marts = sorted({*before.columns, *after.columns})
    return {mart: _count_rows(connection, mart, specs.get(mart), before, after) for mart in marts}


def _count_rows(
    connection: duckdb.DuckDBPyConnection, mart: str, spec: MartSpec | None, before: Snapshot, after: Snapshot
) -> RowChanges | str:
    old_count, new_count = (_count(connection, side.table(mart)) if mart in side.columns else 0 for side in (before, after))
    if mart not in before.columns or mart not in after.columns:
        return RowChanges(new_count, old_count, 0, 0)
    if mart in before.digests and before.digests[mart] == after.digests.get(mart):
        return RowChanges(0, 0, 0, new_count)
    if spec is None:
        return "this version of Northstar does not know the mart"
    types = {column.name: column.type for column in before.columns[mart]}
    shared = [column.name for column in after.columns[mart] if types.get(column.name) == column.type]
    if missing := [name for name in spec.grain if name not in shared]:
        return f"its rows are told apart by {', '.join(missing)}, which the two releases do not share"
    other_ids = _other_pseudonyms(mart, before, after)
    if replaced := [name for name in spec.grain if name in other_ids]:
        return f"{', '.join(replaced)} is a pseudonym by another key"
    values = [identifier(name) for name in shared if name not in spec.grain and name not in other_ids]
    keys = ", ".join(identifier(name) for name in spec.grain)
    row = f"row({', '.join(values)})" if values else "true"
    both, changed = _fetch(
        connection,
        f"SELECT count(*), count(*) FILTER (old.contents IS DISTINCT FROM new.contents)"
        f" FROM (SELECT {keys}, {row} AS contents FROM {before.table(mart)}) AS old"
        f" JOIN (SELECT {keys}, {row} AS contents FROM {after.table(mart)}) AS new USING ({keys})",
    )[0]
    return RowChanges(new_count - both, old_count - both, changed, both - changed)


def _other_pseudonyms(mart: str, before: Snapshot, after: Snapshot) -> set[str]:
    """Columns whose ids cannot be compared: pseudonyms whose key or domain differs, or that are on one side only."""
    old, new = ({} if side.pseudonyms is None else side.pseudonyms.columns.get(mart, {}) for side in (before, after))
    same_key = before.pseudonyms is None or after.pseudonyms is None or before.pseudonyms.key == after.pseudonyms.key
    return {column for column in {*old, *new} if not same_key or old.get(column) != new.get(column)}


def moved_sql(specs: Mapping[str, MartSpec], before: Snapshot, after: Snapshot) -> str:
    """Query for the figures of closed periods that differ between two versions.

    Its columns: mart, series, period (its length), period_start, measure, value_before, value_after.

    A period is closed when it is complete on both sides. A figure that one side lacks is NULL there. Marts, measures and series
    missing on the earlier side are ignored.
    """
    parts = [
        part
        for mart, spec in sorted(specs.items())
        if spec.periods is not None and mart in before.columns and mart in after.columns
        if (part := _moved_in(mart, spec.grain, spec.periods, before, after))
    ]
    return " UNION ALL ".join(parts) or (
        "SELECT ''::VARCHAR AS mart, ''::VARCHAR AS series, ''::VARCHAR AS period, NULL::DATE AS period_start,"
        " ''::VARCHAR AS measure, NULL::DOUBLE AS value_before, NULL::DOUBLE AS value_after LIMIT 0"
    )


def _moved_in(mart: str, grain: Sequence[str], periods: Periods, before: Snapshot, after: Snapshot) -> str | None:
    shared = before.names(mart) & after.names(mart)
    needed = {*grain, *periods.series, *([periods.complete] if periods.complete else [])}
    measures = [name for name in periods.measures if name in shared]
    if not needed <= shared or not measures:
        return None
    keys = ", ".join(identifier(name) for name in dict.fromkeys([*grain, *periods.series]))
    start, limit = identifier(periods.start), literal(min(before.data_through, after.data_through).isoformat())
    values = ", ".join(identifier(name) for name in measures)
    complete = f", {identifier(periods.complete)} AS is_closed" if periods.complete else ""
    old, new = (
        f"(SELECT {keys}, {values}{complete} FROM {side.table(mart)} WHERE {periods.condition})" for side in (before, after)
    )
    if periods.complete is None:
        closed, join = f"SELECT DATE {limit} AS until", "CROSS JOIN closed"
    else:
        # A figure that one side lacks has no flag there. Older periods complete first, so that the newest complete one of its
        # kind says which are.
        kind = [identifier(name) for name in grain if name not in (periods.start, *_BREAKDOWN)]
        kinds = ", ".join(kind) or "true"
        newest = f"SELECT {', '.join([*kind, f'max({start}) AS until'])} FROM {{}} WHERE is_closed GROUP BY {kinds}"
        pair = f"USING ({', '.join(kind)})" if kind else "ON true"
        closed = (
            f"SELECT {', '.join([*(f'old.{name}' for name in kind), 'least(old.until, new.until) AS until'])}"
            f" FROM ({newest.format(old)}) AS old LEFT JOIN ({newest.format(new)}) AS new {pair}"
        )
        join = f"JOIN closed {pair}" if kind else "CROSS JOIN closed"
    series = f"concat_ws(' / ', {', '.join(identifier(name) for name in periods.series)})" if periods.series else "'all'"
    length = identifier(periods.length_column) if periods.length_column else literal(periods.length or "day")
    # Cast to DOUBLE only after summing: a sum of decimals does not depend on its order.
    sums = ", ".join(
        f"sum(old.{identifier(name)})::DOUBLE AS before_{number}, sum(new.{identifier(name)})::DOUBLE AS after_{number}"
        for number, name in enumerate(measures)
    )
    totals = (
        f"WITH closed AS ({closed}) SELECT {series} AS series, {length} AS period, {start} AS period_start, {sums}"
        f" FROM {old} AS old FULL JOIN {new} AS new USING ({keys}) {join} WHERE {start} <= closed.until GROUP BY ALL"
    )
    listed = ", ".join(
        f"{{'measure': {literal(name)}, 'before': before_{number}, 'after': after_{number}}}"
        for number, name in enumerate(measures)
    )
    return (
        f"(SELECT {literal(mart)} AS mart, series, period, period_start, figure.measure AS measure,"
        " figure.before AS value_before, figure.after AS value_after"
        f" FROM (SELECT series, period, period_start, unnest([{listed}]) AS figure FROM ({totals}))"
        " WHERE figure.before IS DISTINCT FROM figure.after)"
    )


def _count(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    return int(_fetch(connection, f"SELECT count(*) FROM {table}")[0][0])


def _fetch(connection: duckdb.DuckDBPyConnection, sql: str) -> list[tuple[Any, ...]]:
    return connection.execute(sql).fetchall()
