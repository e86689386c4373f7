"""Ingest: landed files of any shape that the contract allows become partitions of the lake, refused rows go to quarantine.

Belongs here: finding what landed, reading it, and judging every row against the contract. Does not belong here: the contract
(`contract`), erased persons (`erasure`), the layout of the lake (`lake`), outside shapes (`adapters`), duplicates and meaning
(`dbt_project`).

Every cell is judged as text (columns that a Parquet file already holds in the contract's type are taken as they are), so that one
fact gives the same row of the lake from every format, and a bad cell is a reason for quarantine, never an exception:

- Cells are trimmed; an empty one is NULL. Timestamps are ISO 8601 with or without an offset (none: UTC), a bare day is its
  midnight, fractions below a microsecond are cut off; epoch numbers are refused. Times lie from 1970 to 2199.
- Decimals with more places than the contract's type are rounded, halves away from zero, before bounds are checked.
- Integers may carry a fraction of zeros (a spreadsheet's `3.0`), and an id that a Parquet file holds as a floating-point number
  loses it. Booleans are true, false, t, f, 1, 0 in any case. JSON must be an object and is stored without white space.
- Blank lines are no rows. A line that cannot be split into cells, or is no JSON object, or is not UTF-8, is refused alone.

Many partitions are read in one scan: per batch one DuckDB statement per format and header reads, one judges, and then each
partition is written by one small copy out of the batch.
"""

import csv
import difflib
import gzip
import io
import itertools
import os
import zlib
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import IO
from zoneinfo import ZoneInfo

import duckdb

from orchestration import digests
from orchestration.errors import NorthstarError, UserError
from orchestration.landing import erasure
from orchestration.landing.contract import CONTRACT, Column, Source, Type
from orchestration.landing.lake import Lake, LandedFile, Partition
from orchestration.landing.spellings import canonical
from orchestration.sql import identifier, literal

FORMATS = (".parquet", ".csv", ".csv.gz", ".jsonl", ".jsonl.gz")
_PREFIX = "dt="
_BESIDE = frozenset({"truth.json"})  # what a simulator writes beside its sources

# Bytes of landed files read at once, compressed ones counted with their usual factor: some gigabytes of rows in DuckDB at worst,
# which spill to disk under a memory limit.
_BATCH_BYTES = 256 * 2**20
_COMPRESSED_FACTOR = 6
# Lines that the tolerant reader joins in search of a closing quote; behind that a quote counts as broken.
_LONGEST_RECORD = 200
_CHUNK_ROWS = 50_000

_INTEGERS = frozenset({"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "HUGEINT"})
_TIMES = frozenset({"TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "DATE"})
_ISO_TIMESTAMP = r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}(:?\d{2})?)?)?"
_ISO_DATE = r"\d{4}-\d{2}-\d{2}([T ]00:00(:00(\.0{1,9})?)?(Z|[+-]00(:?00)?)?)?"
_DECIMAL = r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?"
_INTEGER = r"[+-]?\d{1,18}(\.0*)?"


class IngestError(NorthstarError):
    """Partitions that were refused whole, each with file and cause; `entered` are those of the same call that are in the lake."""

    def __init__(self, source: str, failed: dict[date, str], entered: Sequence[Partition]) -> None:
        self.source, self.failed, self.entered = source, failed, tuple(entered)
        lines = "".join(f"\n  {_PREFIX}{day}: {cause}" for day, cause in sorted(failed.items()))
        count = "1 partition was" if len(failed) == 1 else f"{len(failed)} partitions were"
        super().__init__(f"{source}: {count} refused and nothing of it entered the lake:{lines}")


def landed(landing: Path) -> dict[str, list[date]]:
    """Return the sources and their arrival days in a landing zone, both sorted; days without a file are left out.

    UserError when the zone is missing or holds what the contract does not know: another source, a folder that is no
    `dt=YYYY-MM-DD`, a file of another format. Ignored are `truth.json` at the top and names that begin with a dot or an
    underscore.
    """
    if not landing.is_dir():
        raise UserError(f"the landing zone {landing} does not exist")
    found = {}
    for entry in _visible(landing):
        if entry.name in _BESIDE:
            continue
        if not entry.is_dir() or entry.name not in CONTRACT:
            raise UserError(f"{entry.path}: a landing zone holds one folder per source; {_nearest(entry.name, CONTRACT)}")
        days = [_arrival_day(folder) for folder in _visible(Path(entry.path))]
        if kept := [day for day in days if _landed_files(landing, entry.name, day)]:
            found[entry.name] = kept
    return found


def pending(landing: Path, lake: Lake) -> dict[str, list[date]]:
    """Return landed partitions that the lake lacks, or whose files (name, size, modification time) are not those it holds."""
    result = {}
    for source, days in landed(landing).items():
        known = {day: {(file.name, file.size, file.mtime_ns) for file in p.landed} for day, p in lake.partitions(source).items()}
        if changed := [day for day in days if known.get(day) != set(map(_identity, _landed_files(landing, source, day)))]:
            result[source] = changed
    return result


def ingest(
    landing: Path,
    lake: Lake,
    source: str,
    arrived_dates: Sequence[date],
    *,
    timezone: str,
    max_quarantine_ratio: float,
    ledger: erasure.Ledger | None = None,
    memory_limit: str | None = None,
) -> list[Partition]:
    """Ingest exactly these arrival days of one source, replacing what the lake holds of them, and return them, oldest first.

    timezone: the reporting time zone, in which arrival days and the histogram of event days are cut.
    max_quarantine_ratio: the share of one file's rows, from 0 to 1, above which its partition is refused.
    ledger: the erasures in force, which the source `erasures` needs and enters its requests into; that source goes first.
    memory_limit: DuckDB's, such as "2GB"; beyond it, work spills to a temporary folder below the lake's root.

    IngestError when partitions were refused (no landed file, an unreadable one, a required column missing, a column twice, too
    many bad rows); the others of the call are in the lake by then. UserError for a source or time zone that does not exist.
    """
    if source not in CONTRACT:
        raise UserError(f"unknown source {source!r}; {_nearest(source, CONTRACT)}")
    try:
        zone = ZoneInfo(timezone)
    except (KeyError, ValueError, OSError) as error:
        raise UserError(f"unknown time zone {timezone!r}") from error
    failed: dict[date, str] = {}
    entered: list[Partition] = []
    waiting: dict[date, list[Path]] = {}
    for day in sorted(set(arrived_dates)):
        if files := _landed_files(landing, source, day):
            waiting[day] = files
        else:
            failed[day] = f"no file has landed in {landing / source / f'{_PREFIX}{day}'}"
    with lake.connect(memory_limit) as connection:
        for batch in _batches(waiting):
            run = _Batch(connection, CONTRACT[source], zone, max_quarantine_ratio, ledger)
            entered += run.ingest(batch, lake)
            failed |= run.failed
    if failed:
        raise IngestError(source, failed, entered)
    return entered


# --- what landed ---------------------------------------------------------------------------------------------------------------


def _visible(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return sorted((entry for entry in entries if entry.name[0] not in "._"), key=lambda entry: entry.name)


def _arrival_day(entry: os.DirEntry[str]) -> date:
    text = entry.name.removeprefix(_PREFIX)
    try:
        if not entry.is_dir() or entry.name == text or len(text) != len("YYYY-MM-DD"):
            raise ValueError(text)
        return date.fromisoformat(text)
    except ValueError:
        raise UserError(f"{entry.path}: a source holds one folder per arrival day, called {_PREFIX}YYYY-MM-DD") from None


def _landed_files(landing: Path, source: str, day: date) -> list[Path]:
    folder = landing / source / f"{_PREFIX}{day.isoformat()}"
    if not folder.is_dir():
        return []
    entries = _visible(folder)
    for entry in entries:
        if entry.is_dir() or not entry.name.endswith(FORMATS):
            suffix = "".join(Path(entry.name).suffixes[-2:]) or entry.name
            raise UserError(f"{entry.path}: unreadable format; {_nearest(suffix, FORMATS)}")
    return [Path(entry.path) for entry in entries]


def _identity(path: Path) -> tuple[str, int, int]:
    status = path.stat()
    return path.name, status.st_size, status.st_mtime_ns


def _nearest(name: str, known: Iterable[str]) -> str:
    names = list(known)
    if close := difflib.get_close_matches(name, names, n=1, cutoff=0.5):
        return f"did you mean {close[0]}?"
    return f"known are {', '.join(names)}"


def _batches(waiting: dict[date, list[Path]]) -> Iterator[dict[date, list[Path]]]:
    """Cut the partitions into runs of at most `_BATCH_BYTES`, a larger one alone."""
    batch: dict[date, list[Path]] = {}
    size = 0
    for day, files in waiting.items():
        weight = sum(file.stat().st_size * (1 if file.suffix in {".csv", ".jsonl"} else _COMPRESSED_FACTOR) for file in files)
        if batch and size + weight > _BATCH_BYTES:
            yield batch
            batch, size = {}, 0
        batch[day] = files
        size += weight
    if batch:
        yield batch


# --- one batch -----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _File:
    """A landed file with what was read of it before its rows: `header` holds a name (and for Parquet the type) per column."""

    path: Path
    day: date
    format: str
    size: int
    mtime_ns: int
    sha256: str
    header: tuple[tuple[str, str], ...]


class _RefusedError(Exception):
    """Why a file makes its whole partition fail, without the file's name."""


class _Batch:
    """Partitions of one source that are read, judged and written together on one connection."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        source: Source,
        zone: ZoneInfo,
        max_ratio: float,
        ledger: erasure.Ledger | None,
    ) -> None:
        self.connection, self.source, self.zone, self.max_ratio, self.ledger = connection, source, zone, max_ratio, ledger
        self.failed: dict[date, str] = {}
        self.unknown: dict[date, set[str]] = defaultdict(set)
        self.missing: dict[date, set[str]] = defaultdict(set)

    def ingest(self, batch: dict[date, list[Path]], lake: Lake) -> list[Partition]:
        """Read, judge and write; what fails is in `failed` afterwards."""
        lake.prepare(self.connection, self.source)
        files = [file for day, paths in batch.items() for path in paths if (file := self._inspect(path, day))]
        groups: dict[tuple[str, tuple[tuple[str, str], ...]], list[_File]] = defaultdict(list)
        for file in files:
            groups[file.format.removesuffix(".gz"), file.header].append(file)
        for (kind, _), group in groups.items():
            {".parquet": self._read_parquet, ".csv": self._read_csv, ".jsonl": self._read_jsonl}[kind](group)
        landed_files = self._count(files)
        reasons = self._nested(
            "SELECT day, reason, count(*) FROM (SELECT day, unnest(reasons) AS reason FROM judged) GROUP BY ALL"
        )
        happened = self._nested(self._happened_sql())
        days = [day for day in batch if day not in self.failed]
        if self.failed:
            self.connection.execute("DELETE FROM judged WHERE day IN (SELECT unnest(?::DATE[]))", [list(self.failed)])
        erasure.enter(self.connection, lake, self.source, self.ledger)
        partitions = [self._partition(day, landed_files[day], reasons.get(day, {}), happened.get(day, {})) for day in days]
        return lake.write(self.connection, partitions)

    def _fail(self, file: _File, cause: str) -> None:
        self.failed.setdefault(file.day, f"{file.path.name}: {cause}")

    def _inspect(self, path: Path, day: date) -> _File | None:
        extension = next(extension for extension in FORMATS if path.name.endswith(extension))
        file = _File(path, day, extension, 0, 0, "", ())
        try:
            _, size, mtime_ns = _identity(path)
            header = _parquet_header(path) if extension == ".parquet" else _csv_header(path) if "csv" in extension else ()
            file = _File(path, day, extension, size, mtime_ns, digests.of_file(path), header)
            if header:
                self._match(file, [name for name, _ in header])
        except _RefusedError as refused:
            self._fail(file, str(refused))
            return None
        except (OSError, EOFError, zlib.error) as error:
            self._fail(file, f"unreadable: {error}")
            return None
        return file

    def _match(self, file: _File, names: Sequence[str]) -> dict[str, str]:
        """Map contract columns onto a file's own column names; note unknown and missing ones; refuse what cannot be matched."""
        known = {column.name for column in self.source.columns}
        found: dict[str, str] = {}
        for name in names:
            plain = name.strip().lower()
            if plain in found:
                raise _RefusedError(f"column {plain} is there twice")
            found[plain] = name
        if absent := [name for name in self.source.required_columns if name not in found]:
            raise _RefusedError(
                f"required column {', '.join(absent)} is missing; its columns are {', '.join(n.strip() for n in names)}"
            )
        if self.source.one_of and not found.keys() & set(self.source.one_of):
            raise _RefusedError(f"one of the columns {', '.join(self.source.one_of)} is required and all are missing")
        self.unknown[file.day] |= found.keys() - known
        self.missing[file.day] |= known - found.keys()
        return found

    # --- readers: each leaves a relation of path, n, c0, c1, … and judges it

    def _read_parquet(self, group: list[_File]) -> None:
        columns = ", ".join(f"{identifier(name)} AS c{i}" for i, (name, _) in enumerate(group[0].header))
        scan = (
            f"SELECT {columns}, filename AS path, file_row_number + 1 AS n FROM read_parquet({_paths(group)}, "
            "filename = true, file_row_number = true, binary_as_string = true, hive_partitioning = false)"
        )
        try:
            described = self.connection.execute(f"DESCRIBE {scan}").fetchall()
            cells = {name.strip().lower(): _Cell(f"c{i}", str(described[i][1])) for i, (name, _) in enumerate(group[0].header)}
            self._judge(scan, group, cells, _json_object((name, cell.text) for name, cell in cells.items()))
        except duckdb.OutOfMemoryException:
            raise
        except duckdb.Error as error:
            if len(group) > 1:
                for file in group:
                    self._read_parquet([file])
            else:
                self._fail(group[0], f"unreadable: {_first_line(error)}")

    def _read_csv(self, group: list[_File]) -> None:
        width = len(group[0].header)
        columns = ", ".join(f"'c{i}': 'VARCHAR'" for i in range(width))
        try:
            self.connection.execute(
                f"CREATE OR REPLACE TABLE raw AS SELECT * FROM read_csv({_paths(group)}, columns = {{{columns}}}, "
                "filename = 'path', header = true, auto_detect = false, delim = ',', quote = '\"', escape = '\"', "
                "hive_partitioning = false)"
            )
        except duckdb.OutOfMemoryException:
            raise
        except duckdb.Error:
            # Strict reading stops at the first malformed line; lenient reading neither numbers rows nor gets past a broken quote.
            # So the file at fault is read line by line.
            for file in group if len(group) > 1 else ():
                self._read_csv([file])
            if len(group) == 1:
                self._read_tolerantly(group[0], [f"c{i}" for i in range(width)], _csv_records)
                self._judge_csv(group, "SELECT * FROM raw")
            return
        self._judge_csv(group, _numbered("raw"))

    def _judge_csv(self, group: list[_File], scan: str) -> None:
        cells = {name.strip().lower(): _Cell(f"c{i}") for i, (name, _) in enumerate(group[0].header)}
        self._judge(scan, group, cells, _json_object((name, cell.sql) for name, cell in cells.items()))

    def _read_jsonl(self, group: list[_File]) -> None:
        try:
            self.connection.execute(
                f"CREATE OR REPLACE TABLE raw AS SELECT json::VARCHAR AS line, filename AS path FROM read_ndjson_objects("
                f"{_paths(group)}, filename = true, ignore_errors = true, hive_partitioning = false)"
            )
            odd = self.connection.execute("SELECT DISTINCT path FROM raw WHERE line IS NULL OR NOT starts_with(ltrim(line), '{')")
            suspects = {path for (path,) in odd.fetchall()}
        except duckdb.OutOfMemoryException:
            raise
        except duckdb.Error:
            suspects = {str(file.path) for file in group}
        if sound := [file for file in group if str(file.path) not in suspects]:
            self._judge_jsonl(sound, _numbered("raw"))
        for file in group:
            if str(file.path) in suspects:
                self._read_tolerantly(file, ["line"], _json_records)
                self.connection.execute(
                    "UPDATE raw SET malformed = 'malformed: not a JSON object', text = line, line = NULL "
                    "WHERE malformed IS NULL AND json_type(TRY_CAST(line AS JSON)) IS DISTINCT FROM 'OBJECT'"
                )
                self._judge_jsonl([file], "SELECT * FROM raw")

    def _judge_jsonl(self, group: list[_File], scan: str) -> None:
        keys: dict[str, list[str]] = {}
        listed = f"SELECT path, unnest(json_keys(line)) AS key FROM ({scan})"
        found = self.connection.execute(f"SELECT path, list_sort(list(DISTINCT key)) FROM ({listed}) GROUP BY path")
        headers: dict[str, list[str]] = dict(found.fetchall())
        matched = []
        for file in group:
            try:
                # A file without an object has no columns to miss; its malformed lines are judged all the same.
                for plain, name in self._match(file, headers[str(file.path)]).items() if str(file.path) in headers else ():
                    if name not in keys.setdefault(plain, []):
                        keys[plain].append(name)
                matched.append(file)
            except _RefusedError as refused:
                self._fail(file, str(refused))
        if not matched:
            return
        names = [(plain, name) for plain, spelled in keys.items() for name in spelled]
        pointers = ", ".join(literal("/" + name.replace("~", "~0").replace("/", "~1")) for _, name in names)
        positions: dict[str, list[int]] = defaultdict(list)
        for position, (plain, _) in enumerate(names, start=1):
            positions[plain].append(position)
        cells = {
            plain: _Cell(f"coalesce({', '.join(f'x[{p}]' for p in where)})" if len(where) > 1 else f"x[{where[0]}]")
            for plain, where in positions.items()
        }
        self._judge(f"SELECT *, json_extract_string(line, [{pointers}]::VARCHAR[]) AS x FROM ({scan})", matched, cells, "line")

    def _read_tolerantly(self, file: _File, columns: list[str], records: "_Reader") -> None:
        """Fill `raw` with path, n, the columns, and for malformed lines the reason and the text, from a file that has some."""
        import pyarrow as pa

        fields = [
            ("path", "VARCHAR"),
            ("n", "BIGINT"),
            *((column, "VARCHAR") for column in columns),
            ("malformed", "VARCHAR"),
            ("text", "VARCHAR"),
        ]
        self.connection.execute(f"CREATE OR REPLACE TABLE raw ({', '.join(f'{name} {kind}' for name, kind in fields)})")
        try:
            with _open(file.path) as stream:
                lines = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")
                numbered = enumerate(records(lines, len(columns)), start=1)
                while chunk := list(itertools.islice(numbered, _CHUNK_ROWS)):
                    rows = [(str(file.path), n, *cells, malformed, text) for n, (cells, malformed, text) in chunk]
                    values = zip(*rows, strict=True)
                    arrays = [
                        pa.array(v, pa.int64() if kind == "BIGINT" else pa.string())
                        for v, (_, kind) in zip(values, fields, strict=True)
                    ]
                    table = pa.Table.from_arrays(arrays, [name for name, _ in fields])
                    self.connection.register("chunk", table).execute("INSERT INTO raw FROM chunk")
                    self.connection.unregister("chunk")
        except (OSError, EOFError, zlib.error) as error:
            self._fail(file, f"unreadable: {error}")

    # --- judging

    def _judge(self, scan: str, group: list[_File], cells: "dict[str, _Cell]", raw: str) -> None:
        """Append the rows of `scan` (path, n, …) to `judged`, with values in the contract's types and the faults found."""
        tolerant = "malformed" in {row[0] for row in self.connection.execute(f"DESCRIBE {scan}").fetchall()}
        columns = self.source.columns
        present = [cells.get(column.name, _Cell("NULL::VARCHAR")) for column in columns]
        texts = [cell.judged(column.type) for cell, column in zip(present, columns, strict=True)]
        values = [
            canonical(column, cell.parsed(column.type, f"t{i}"))
            for i, (cell, column) in enumerate(zip(present, columns, strict=True))
        ]
        faults = [fault for i, column in enumerate(columns) for fault in self._faults(i, column)]
        if self.source.one_of:
            where = [i for i, column in enumerate(columns) if column.name in self.source.one_of]
            label = "both" if len(where) == 2 else "all"
            faults.append((" AND ".join(f"t{i} IS NULL" for i in where), f"{', '.join(self.source.one_of)}: {label} missing"))
        bad = " OR ".join(f"({condition})" for condition, _ in faults)
        found = ", ".join(f"CASE WHEN {condition} THEN {literal(reason)} END" for condition, reason in faults)
        reasons = f"CASE WHEN {bad} THEN list_filter([{found}], reason -> reason IS NOT NULL) END"
        known = {column.name for column in columns}
        unknown = sorted((name, cell.text) for name, cell in cells.items() if name not in known)
        extra = "NULL::JSON"
        if unknown:
            pairs = ((name, _trimmed(text)) for name, text in unknown)
            extra = f"nullif(json_merge_patch('{{}}', {_json_object(pairs)})::VARCHAR, '{{}}')::JSON"
        if tolerant:
            reasons = f"CASE WHEN malformed IS NOT NULL THEN [malformed] ELSE {reasons} END"
            raw = f"CASE WHEN malformed IS NOT NULL THEN to_json(text)::VARCHAR ELSE {raw} END"
        self._register_files(group)
        self.connection.execute(f"""
            INSERT INTO judged
            WITH texts AS (
              SELECT scanned.*, files.day, files.name, files.latest,
                {", ".join(f"{text} AS t{i}" for i, text in enumerate(texts))}
              FROM ({scan}) AS scanned INNER JOIN files ON scanned.path = files.path
            ), typed AS (
              SELECT *, {", ".join(f"{value} AS v{i}" for i, value in enumerate(values))}
              FROM texts
            ), reasoned AS (
              SELECT *, {reasons} AS reasons FROM typed
            )
            SELECT day, name, n, {", ".join(f"v{i}" for i in range(len(columns)))}, {extra}, reasons,
              CASE WHEN reasons IS NOT NULL THEN {raw} END
            FROM reasoned
        """)

    def _faults(self, i: int, column: Column) -> Iterator[tuple[str, str]]:
        """Yield conditions over text t<i> and value v<i> of a column with the reason that each gives; NULL counts as false."""
        name, text, value = column.name, f"t{i}", f"v{i}"
        if column.required:
            yield f"{text} IS NULL", f"{name}: missing"
        if column.type in _NOUNS:
            yield f"{text} IS NOT NULL AND {value} IS NULL", f"{name}: not {_NOUNS[column.type]}"
        if column.allowed:
            yield (
                f"{value} NOT IN ({', '.join(map(literal, column.allowed))})",
                f"{name}: not one of {', '.join(column.allowed)}",
            )
        if column.minimum is not None:
            yield f"{value} < {column.minimum}", f"{name}: below {column.minimum}"
        if column.maximum is not None:
            yield f"{value} > {column.maximum}", f"{name}: above {column.maximum}"
        if column.type in {Type.TIMESTAMP, Type.DATE}:
            yield f"{value} < '1970-01-01' OR {value} >= '2200-01-01'", f"{name}: outside 1970 to 2199"
        if name == self.source.happened_at:
            latest = "latest" if column.type is Type.TIMESTAMP else "day + 1"
            sign = ">=" if column.type is Type.TIMESTAMP else ">"
            yield f"{value} {sign} {latest}", f"{name}: in the future of its arrival"

    def _register_files(self, group: list[_File]) -> None:
        """Table `files`: path, name, day, and the instant from which a fact would lie in the future (UTC)."""
        self.connection.execute("CREATE OR REPLACE TABLE files (path VARCHAR, name VARCHAR, day DATE, latest TIMESTAMP)")
        rows = ", ".join(
            f"({literal(str(file.path))}, {literal(file.path.name)}, DATE '{file.day}', TIMESTAMP '{self._latest(file.day)}')"
            for file in group
        )
        self.connection.execute(f"INSERT INTO files VALUES {rows}")

    def _latest(self, day: date) -> str:
        """Return the end of the day after an arrival day, UTC: clocks of sources run ahead by hours, hardly by days."""
        end = datetime.combine(day + timedelta(days=2), time(), tzinfo=self.zone)
        return end.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ")

    # --- counting and writing

    def _count(self, files: list[_File]) -> dict[date, list[LandedFile]]:
        """Landed files with their counts, by day; a partition with a file above the quarantine ratio is failed."""
        counted = self.connection.execute("SELECT day, file, count(*), count(reasons) FROM judged GROUP BY ALL").fetchall()
        counts = {(day, name): (rows, refused) for day, name, rows, refused in counted}
        result: dict[date, list[LandedFile]] = defaultdict(list)
        for file in files:
            rows, refused = counts.get((file.day, file.path.name), (0, 0))
            if refused > self.max_ratio * rows and file.day not in self.failed:
                self._fail(file, f"{refused} of {rows} rows are bad, more than {self.max_ratio:.2%}: {self._why(file)}")
            if not file.path.exists() or _identity(file.path)[1:] != (file.size, file.mtime_ns):
                self._fail(file, "it changed while it was read")
            result[file.day].append(
                LandedFile(file.path.name, file.size, file.mtime_ns, file.sha256, rows, rows - refused, refused)
            )
        return result

    def _why(self, file: _File) -> str:
        found = self.connection.execute(
            "SELECT reason, count(*) AS rows, min(n) "
            "FROM (SELECT n, unnest(reasons) AS reason FROM judged WHERE day = ? AND file = ?) "
            "GROUP BY ALL ORDER BY rows DESC, reason LIMIT 5",
            [file.day, file.path.name],
        )
        return "; ".join(f"{reason} ({rows}, first in row {first})" for reason, rows, first in found.fetchall())

    def _happened_sql(self) -> str:
        column = identifier(self.source.happened_at)
        if self.source.column(self.source.happened_at).type is Type.DATE:
            return f"SELECT day, {column}::VARCHAR, count(*) FROM judged WHERE reasons IS NULL GROUP BY ALL"
        # Converting an instant to a local day is dear and every offset is a multiple of 15 minutes: convert quarters of an hour.
        local = f"timezone({literal(self.zone.key)}, timezone('UTC', quarter))::DATE::VARCHAR"
        return (
            f"SELECT day, {local}, sum(rows)::BIGINT FROM (SELECT day, time_bucket(INTERVAL 15 minutes, {column}) AS quarter, "
            "count(*) AS rows FROM judged WHERE reasons IS NULL GROUP BY ALL) GROUP BY ALL"
        )

    def _nested(self, sql: str) -> dict[date, dict[str, int]]:
        result: dict[date, dict[str, int]] = defaultdict(dict)
        for day, name, count in self.connection.execute(f"{sql} ORDER BY ALL").fetchall():
            result[day][name] = count
        return result

    def _partition(self, day: date, files: list[LandedFile], reasons: dict[str, int], happened: dict[str, int]) -> Partition:
        return Partition(
            source=self.source.name,
            arrived_date=day,
            digest="",
            landed=tuple(files),
            accepted=sum(file.accepted for file in files),
            quarantined=sum(file.quarantined for file in files),
            data_files=(),
            quarantine_files=(),
            unknown_columns=tuple(sorted(self.unknown[day])),
            missing_columns=tuple(column.name for column in self.source.columns if column.name in self.missing[day]),
            reasons=reasons,
            happened=happened,
        )


# --- cells ---------------------------------------------------------------------------------------------------------------------

_NOUNS = {
    Type.TIMESTAMP: "a timestamp",
    Type.DATE: "a date",
    Type.MONEY: "an amount",
    Type.CURRENCY: "a currency code",
    Type.NUMBER: "a number",
    Type.RATE: "a number",
    Type.INTEGER: "an integer",
    Type.BOOLEAN: "a boolean",
    Type.JSON: "a JSON object",
}


@dataclass(frozen=True)
class _Cell:
    """A landed column: the SQL that reads it and the DuckDB type that this gives."""

    sql: str
    type: str = "VARCHAR"

    def is_native(self, wanted: Type) -> bool:
        """Whether a Parquet file holds it in a type that needs no reading of text."""
        if wanted is Type.TIMESTAMP:
            return self.type in _TIMES or self.type == "TIMESTAMP WITH TIME ZONE"
        if wanted in {Type.MONEY, Type.NUMBER, Type.RATE}:
            return self.type in _INTEGERS or self.type.startswith("DECIMAL")
        if wanted is Type.INTEGER:
            return self.type in _INTEGERS
        return wanted in {Type.DATE, Type.BOOLEAN} and self.type == wanted.sql

    @property
    def text(self) -> str:
        """SQL for it as text; whatever is nested as JSON."""
        if self.type == "VARCHAR":
            return self.sql
        if self.type == "JSON" or self.type.endswith("]") or self.type.startswith(("STRUCT", "MAP", "UNION")):
            return f"to_json({self.sql})::VARCHAR"
        return f"{self.sql}::VARCHAR"

    def judged(self, wanted: Type) -> str:
        """Give the SQL for what is judged: the native value, or the trimmed text with NULL for an empty one."""
        if self.is_native(wanted):
            return f"timezone('UTC', {self.sql})" if self.type == "TIMESTAMP WITH TIME ZONE" else self.sql
        text = self.text
        if wanted is Type.ID and self.type in {"DOUBLE", "FLOAT"}:
            # Ids with gaps become floating-point numbers in data frames: 17850.0 is 17850.
            text = f"regexp_replace({text}, '\\.0$', '')"
        return _trimmed(text)

    def parsed(self, wanted: Type, judged: str) -> str:
        """Give the SQL for the value in the contract's type, NULL when what is judged is none."""
        cast = f"TRY_CAST({judged} AS {wanted.sql})"
        if self.is_native(wanted):
            return cast
        match wanted:
            case Type.ID | Type.TEXT:
                return judged
            case Type.TIMESTAMP:
                # Casting to a plain timestamp would read an offset and forget it.
                return _when(judged, _ISO_TIMESTAMP, f"TRY_CAST({judged} AS TIMESTAMP WITH TIME ZONE)::TIMESTAMP")
            case Type.DATE:
                return _when(judged, _ISO_DATE, f"TRY_CAST(left({judged}, 10) AS DATE)")
            case Type.CURRENCY:
                return _when(judged, "[A-Z]{3}", judged)
            case Type.INTEGER:
                return _when(judged, _INTEGER, cast)
            case Type.BOOLEAN:
                return f"CASE WHEN lower({judged}) IN ('true', 't', '1', 'false', 'f', '0') THEN {cast} END"
            case Type.JSON:
                return f"CASE WHEN json_type(TRY_CAST({judged} AS JSON)) = 'OBJECT' THEN TRY(json({judged}))::JSON END"
            case _:
                return _when(judged, _DECIMAL, cast)


def _trimmed(text: str) -> str:
    """Give the SQL for a text without white space around it, NULL when nothing is left."""
    # Nearly every cell is clean, and seeing that costs a ninth of trimming it; below "!" are white space and controls.
    clean = " AND ".join(f"NOT ends_with({text}, chr({code}))" for code in (32, 9, 10, 13))
    trimmed = f"nullif(trim({text}, ' ' || chr(9) || chr(10) || chr(13)), '')"
    return f"CASE WHEN {text} >= '!' AND {clean} THEN {text} ELSE {trimmed} END"


def _when(text: str, pattern: str, value: str) -> str:
    return f"CASE WHEN regexp_full_match({text}, '{pattern}') THEN {value} END"


# --- files ---------------------------------------------------------------------------------------------------------------------


def _open(path: Path) -> IO[bytes]:
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]


def _csv_header(path: Path) -> tuple[tuple[str, str], ...]:
    with _open(path) as stream, io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="") as lines:
        try:
            names = next(csv.reader(lines, strict=True), [])
            "".join(names).encode()
        except UnicodeEncodeError:
            raise _RefusedError("its header is not UTF-8") from None
        except csv.Error as error:
            raise _RefusedError(f"its header is malformed: {error}") from None
    if not any(name.strip() for name in names):
        raise _RefusedError("it has no header")
    # A data frame written with its index leaves that column without a name.
    return tuple((name if name.strip() else f"column_{i}", "VARCHAR") for i, name in enumerate(names, start=1))


def _parquet_header(path: Path) -> tuple[tuple[str, str], ...]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(path)
    except pa.ArrowException as error:
        raise _RefusedError(f"unreadable: {_first_line(error)}") from None
    return tuple((field.name, str(field.type)) for field in schema)


_Record = tuple[Sequence[str | None], str | None, str | None]
"""Cells, and for a malformed line the reason and the line itself."""


_Reader = Callable[[Iterable[str], int], Iterator[_Record]]
"""A tolerant reader: lines and the number of columns in, one record per row out."""


def _refused(line: str, width: int, why: str) -> _Record:
    try:
        line.encode()
    except UnicodeEncodeError:
        line, why = line.encode(errors="surrogateescape").decode(errors="backslashreplace"), "not UTF-8"
    return [None] * width, f"malformed: {why}", line.rstrip("\r\n")


def _csv_records(lines: Iterable[str], width: int) -> Iterator[_Record]:
    """Yield the records of a CSV file of which some are malformed; after a broken quote, reading goes on with the next line."""
    source = iter(lines)
    waiting: deque[str] = deque()
    heading = True
    while record := list(itertools.islice(itertools.chain(_drained(waiting), source), 1)):
        cells, why = None, ""
        while cells is None and not why:
            try:
                cells = next(csv.reader(record, strict=True), [])
            except csv.Error as error:
                further = waiting.popleft() if waiting else next(source, None)
                if "unexpected end" in str(error) and further is not None and len(record) < _LONGEST_RECORD:
                    record.append(further)
                else:
                    record += [] if further is None else [further]
                    waiting.extendleft(reversed(record[1:]))
                    why = "broken quote"
        if heading or cells == []:
            heading = False
        elif cells is None:
            yield _refused(record[0], width, why)
        elif len(cells) != width:
            yield _refused("".join(record), width, f"{len(cells)} cells instead of {width}")
        elif not "".join(cells).isascii() and (refused := _refused("".join(record), width, ""))[1] == "malformed: not UTF-8":
            yield refused
        else:
            yield cells, None, None


def _json_records(lines: Iterable[str], width: int) -> Iterator[_Record]:
    """Yield the lines of a file of JSON lines, blank ones left out; whether they are JSON is judged later, in one go."""
    for line in lines:
        if line.strip():
            record = _refused(line, width, "")
            yield record if record[1] == "malformed: not UTF-8" else ([line.rstrip("\r\n")], None, None)


def _drained(waiting: deque[str]) -> Iterator[str]:
    while waiting:
        yield waiting.popleft()


# --- SQL -----------------------------------------------------------------------------------------------------------------------


def _paths(group: Iterable[_File]) -> str:
    return f"[{', '.join(literal(str(file.path)) for file in group)}]"


def _json_object(pairs: Iterable[tuple[str, str]]) -> str:
    return f"json_object({', '.join(f'{literal(name)}, {value}' for name, value in pairs)})"


def _numbered(table: str) -> str:
    """Give the SQL for the rows of a table that one scan filled in order, each with its number within its file."""
    return (
        f"SELECT {table}.*, {table}.rowid - first + 1 AS n FROM {table} "
        f"INNER JOIN (SELECT path AS of, min(rowid) AS first FROM {table} GROUP BY path) ON of = path"
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
