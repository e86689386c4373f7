"""The manifest of a release, and digests that make tables comparable.

Belongs here: the record kept as `manifest.json` and the digest of a table. Does not belong here: files, folders and promotion
(`release`).
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import ClassVar, Literal

import duckdb
from pydantic import AwareDatetime, ConfigDict, TypeAdapter, ValidationError

from orchestration.base.counts import counted
from orchestration.base.errors import NorthstarError
from orchestration.base.sql import identifier

SCHEMA_VERSION = 3
_READABLE = (1, 2, 3)  # 1 lacks pseudonyms and erasures; 2 lacks waivers, changes and versions of marts
_STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True)
class Column:
    """A published column and its DuckDB type."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    name: str
    type: str


@dataclass(frozen=True)
class MartRecord:
    """A published mart: its rows, their digest (`table_digest`), its columns in order, and the size of its Parquet file.

    version: of its columns, to be raised when one is removed or retyped. published_until: the last day of a deprecated mart.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    rows: int
    digest: str
    columns: tuple[Column, ...]
    bytes: int
    version: int = 1
    published_until: date | None = None


@dataclass(frozen=True)
class SchemaChange:
    """One difference between two releases' schemas; `name` is `mart` or `mart.column`.

    kind: a mart or column is added, removed or retyped; a mart's version is raised or lowered.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    name: str
    kind: Literal["added", "removed", "retyped", "raised", "lowered"]
    detail: str

    @property
    def mart(self) -> str:
        """The mart concerned."""
        return self.name.split(".")[0]


@dataclass(frozen=True)
class SourceRecord:
    """The data of one source in a release.

    digest: of the lake's files that it was built from. days: the same by file, arrival day → the first 32 digits of the SHA-256
    of the day's accepted rows, which is the file's name in the lake; empty in releases of earlier versions.
    unknown_columns: landed columns that are not in the contract → the most similar column, if any.
    unconverted: rows by currency that no amount includes because an exchange rate is missing. ended: the day of the last fact,
    if it lies further back than the source's usual pauses explain.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    partitions: int
    rows: int
    first_dt: date | None
    last_dt: date | None
    digest: str
    days: Mapping[date, str] = field(default_factory=dict)
    unknown_columns: Mapping[str, str | None] = field(default_factory=dict)
    unconverted: Mapping[str, int] = field(default_factory=dict)
    ended: date | None = None


@dataclass(frozen=True)
class GateRecord:
    """The gate's outcome: numbers of checks declared, evaluated, failed, and failed without blocking.

    warned: names (`<mart>.<check>`) of checks that failed as warnings. waived: critical checks that failed under a waiver, each
    with its last day, its author and the reason.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    passed: bool
    declared: int
    evaluated: int
    failed: int
    warnings: int
    warned: tuple[str, ...] = ()
    waived: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PseudonymRecord:
    """Columns with pseudonyms instead of ids, mart → {column: domain}, and the fingerprint of their key.

    previous_key: fingerprint of the last release's key if it differs; pseudonyms then cannot be joined with earlier ones.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    key: str
    columns: Mapping[str, Mapping[str, str]]
    previous_key: str | None = None


@dataclass(frozen=True)
class ErasureRecord:
    """Persons erased since the last release, partitions rewritten for that, and releases removed because they held them.

    unknown_requests: requests with a user_id that occurs in no row.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    persons: int
    partitions_rewritten: int
    releases_pruned: tuple[str, ...]
    unknown_requests: int = 0


@dataclass(frozen=True)
class RowChanges:
    """A mart's rows against the last release, matched by its grain and compared over the common columns."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    added: int
    removed: int
    changed: int
    unchanged: int


@dataclass(frozen=True)
class Restated:
    """The closed periods of a mart with changed figures: their number, the first days of the first and last, and the causes.

    largest_change_rate: the largest change as a share of the earlier figure; None when all earlier figures were 0 or missing.
    causes: cause → periods with a figure that changed for it. The figures themselves are in `mart_restatements__release`.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    periods: int
    first: date
    last: date
    largest_change_rate: float | None
    causes: Mapping[str, int]


@dataclass(frozen=True)
class Changes:
    """Changes since the last release: rows by mart; marts that cannot be compared, with the reason; restated periods by mart.

    restated_periods: closed periods, identified by length and first day, in which a figure of any mart changed. causes: cause →
    number of such periods, the most frequent first.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    rows: Mapping[str, RowChanges]
    incomparable: Mapping[str, str]
    restated: Mapping[str, Restated]
    restated_periods: int
    causes: Mapping[str, int]

    def __str__(self) -> str:
        """Restated periods in one line, for a heading such as "restatements"."""
        if not self.restated_periods:
            return "none"
        causes = ", ".join(cause.replace("_", " ") for cause in self.causes)
        return f"{counted(self.restated_periods, 'closed period')} ({causes})"


@dataclass(frozen=True)
class Manifest:
    """Inputs and contents of a release.

    created_at: the start of its build. published_at: the instant stored in `marts._publication`, fixed when the file is
    written, because validated bytes must not change. left_out: omitted mart → reason. timings: stage → seconds. marts_sha256:
    of the bytes of `marts.duckdb`. pseudonyms and erasure: None without any. schema_changes: against the previous release,
    ignoring omitted marts. changes: since the previous release; None for the first one.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    release_id: str
    previous_release_id: str | None
    created_at: AwareDatetime
    published_at: AwareDatetime
    data_through: date
    code_version: str
    model_version: str | None
    config_digest: str
    dbt_manifest_digest: str
    sources: Mapping[str, SourceRecord]
    marts: Mapping[str, MartRecord]
    left_out: Mapping[str, str]
    gate: GateRecord
    timings: Mapping[str, float]
    marts_sha256: str
    pseudonyms: PseudonymRecord | None = None
    erasure: ErasureRecord | None = None
    schema_changes: tuple[SchemaChange, ...] = ()
    changes: Changes | None = None

    @property
    def key_fingerprint(self) -> str | None:
        """Fingerprint of the key of its pseudonyms; None without any."""
        return None if self.pseudonyms is None else self.pseudonyms.key

    def to_json(self) -> str:
        """Render as JSON, with the version of this schema."""
        fields = _ADAPTER.dump_python(self, mode="json")
        return json.dumps({"schema_version": SCHEMA_VERSION, **fields}, indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def read(cls, path: Path) -> "Manifest":
        """Read a manifest file; raise `NorthstarError` naming the file and the key when it is not one."""
        try:
            fields = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise NorthstarError(f"{path} is missing: the release is damaged") from None
        except ValueError as error:
            raise NorthstarError(f"{path} is not JSON: {error}") from None
        version = fields.pop("schema_version", None) if isinstance(fields, dict) else None
        if version not in _READABLE:
            raise NorthstarError(f"{path} has schema_version {version!r}; this Northstar reads 1 to 3")
        try:
            return _ADAPTER.validate_python(fields)
        except ValidationError as error:
            first = error.errors()[0]
            raise NorthstarError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None


_ADAPTER = TypeAdapter(Manifest)


def read_columns(connection: duckdb.DuckDBPyConnection, relation: str) -> tuple[Column, ...]:
    """List a relation's columns in order; `relation` is a quoted SQL name."""
    rows = connection.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()
    return tuple(Column(name, type_) for name, type_, *_ in rows)


def table_digest(connection: duckdb.DuckDBPyConnection, relation: str) -> str:
    """Hash a table's rows as a multiset, with its row count, column names and types.

    `relation` is a quoted SQL name; the connection's time zone is UTC. Each row becomes one string, with each cell written as
    its length and its text (so that neighbouring cells cannot be confused, and NULL, written without a length, differs from an
    empty text). The MD5 of that string is read as two 64-bit numbers, and each is summed over the rows. A sum ignores order but
    counts duplicates. MD5 and decimal text are the same in every DuckDB version, unlike its own `hash()`. The digest detects
    accidental differences; it is no defence against deliberate collisions.
    """
    columns = read_columns(connection, relation)
    texts = ", ".join(f"{_text(column)} AS v{index}" for index, column in enumerate(columns))
    cells = ", ".join(f"{_prefix(f'v{index}')}, v{index}" for index in range(len(columns)))  # concat passes over NULL
    hashes = f"SELECT md5_number(concat({cells})) AS h FROM (SELECT {texts} FROM {relation})"
    halves = f"SELECT (h & {2**64 - 1}::UHUGEINT)::UBIGINT AS a, (h >> 64)::UBIGINT AS b FROM ({hashes})"
    for swap in _SWAPS:
        halves = f"SELECT {swap.format('a')} AS a, {swap.format('b')} AS b FROM ({halves})"
    row = connection.execute(f"SELECT count(*), sum(a), sum(b) FROM ({halves})").fetchone()
    schema = [[column.name, column.type] for column in columns]
    return hashlib.sha256(json.dumps([schema, [str(part) for part in row or ()]]).encode()).hexdigest()


# DuckDB reads an MD5 as a number from its last byte, the digest reads it from the first: halves, quarters and bytes change
# places. That and the list of prefixes take 2.9 CPU seconds for 1.9 million rows, where hex digits and || took 5.
_SWAPS = tuple(
    f"((({{0}} >> {bits}) & {mask}::UBIGINT) | (({{0}} & {mask}::UBIGINT) << {bits}))"
    for bits, mask in ((8, 0x00FF00FF00FF00FF), (16, 0x0000FFFF0000FFFF), (32, 0x00000000FFFFFFFF))
)
_PREFIXES = str([f"{length}:" for length in range(64)])


def _prefix(text: str) -> str:
    """SQL for a cell's text up to its first character: the length of `text` with a colon, or the whole cell of NULL."""
    return f"coalesce({_PREFIXES}[strlen({text}) + 1], strlen({text}) || ':', '-')"


def _text(column: Column) -> str:
    # DuckDB's text of ['a, b'] and ['a', 'b'] is ambiguous; JSON quotes each element.
    name = identifier(column.name)
    nested = column.type.endswith("]") or column.type.startswith(("STRUCT(", "MAP(", "UNION("))
    return f"CAST(to_json({name}) AS VARCHAR)" if nested else f"CAST({name} AS VARCHAR)"


def schema_changes(before: Mapping[str, MartRecord], after: Mapping[str, MartRecord]) -> list[SchemaChange]:
    """Compare the marts and columns of two releases, by name; the order of columns does not matter."""
    changes = [SchemaChange(mart, "removed", f"{mart} is gone") for mart in before if mart not in after]
    for mart, record in after.items():
        if mart not in before:
            changes.append(SchemaChange(mart, "added", f"{mart} is new"))
            continue
        was = before[mart].version
        if record.version != was:
            kind: Literal["raised", "lowered"] = "raised" if record.version > was else "lowered"
            changes.append(SchemaChange(mart, kind, f"{mart} is version {record.version}, was {was}"))
        old = {column.name: column.type for column in before[mart].columns}
        new = {column.name: column.type for column in record.columns}
        for name in {**old, **new}:
            key = f"{mart}.{name}"
            if name not in new:
                changes.append(SchemaChange(key, "removed", f"{key} ({old[name]}) is gone"))
            elif name not in old:
                changes.append(SchemaChange(key, "added", f"{key} ({new[name]}) is new"))
            elif old[name] != new[name]:
                changes.append(SchemaChange(key, "retyped", f"{key} was {old[name]} and is {new[name]}"))
    return changes


def breaking(changes: Iterable[SchemaChange]) -> list[SchemaChange]:
    """The changes that would break readers of the older release without notice.

    A raised version is notice; additions break nothing; a version must never be lowered.
    """
    changes = list(changes)
    told = {change.mart for change in changes if change.kind == "raised"}
    return [change for change in changes if change.kind not in {"added", "raised"} and change.mart not in told]
