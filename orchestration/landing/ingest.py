"""Ingest: landed files of any shape that the contract allows become partitions of the lake, refused rows go to quarantine.

Belongs here: finding what landed, reading it, and judging every row against the contract. Does not belong here: the contract
(`contract`), erased persons (`erasure`), the layout of the lake (`lake`), outside shapes (`adapters`), duplicates and meaning
(`dbt_project`).

Every cell is judged as text (columns that a Parquet file already holds in the contract's type are taken as they are), so that one
fact gives the same row of the lake from every format, and a bad cell is a reason for quarantine, never an exception:

- Cells are trimmed of white space, Unicode's included, and lose NUL characters; an empty one is NULL. Timestamps are ISO 8601
  with or without an offset (none: UTC), also behind a space and as `UTC`; a bare day is its midnight, fractions below a
  microsecond are cut off; epoch numbers are refused.
- Times lie from `partition_start` to the end of the day after the arrival day, only those that may lie ahead go on to 2199.
- Decimals with more places than the contract's type are rounded, halves away from zero, before bounds are checked.
- Integers may carry a fraction of zeros (a spreadsheet's `3.0`), and an id that a file holds as a number, in Parquet or JSON,
  loses it; an id that it holds as text stays as it is spelled. Currency codes are upper-cased. Booleans are true, false, t, f,
  1, 0 in any case. JSON must be an object and is stored without white space.
- Blank lines are no rows. A line that cannot be split into cells, or is no JSON object, or is not UTF-8, is refused alone.
- A CSV cell may be of any length and number of lines. It is quoted when its first character behind spaces is a quote, which only
  spaces may follow after it is closed; elsewhere a quote is a character like others. Empty cells beyond the header's are dropped.
  DuckDB reads files of which every row is sound, `_csv_records` the others; what they say of a row is the same.
- Compressed files are unpacked first, which verifies their checksums.

Many partitions are read in one scan: per batch one DuckDB statement per format and header reads, one judges, and then each
partition is written by one small copy out of the batch.
"""

import gzip
import io
import itertools
import json
import logging
import os
import re
import shutil
import tempfile
import zlib
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb

from orchestration.base import digests
from orchestration.base.errors import NorthstarError, UserError
from orchestration.base.sql import exact, identifier, literal
from orchestration.base.suggestion import nearest
from orchestration.landing import erasure
from orchestration.landing.contract import CONTRACT, CURRENCIES, MISTAKEN_CURRENCIES, Column, Source, Type
from orchestration.landing.lake import SPILL_PREFIX, Lake, LandedFile, Partition
from orchestration.landing.spellings import canonical

_logger = logging.getLogger("northstar.night")

_ROWS = (".csv", ".tsv", ".jsonl", ".ndjson")
_PACKED = (".gz", ".zst")
FORMATS = (".parquet", *(rows + packed for rows in _ROWS for packed in ("", *_PACKED)))
# What browsers, editors, sync clients and Spark leave beside the files they write; names are compared in lower case.
_STRAY_NAMES = frozenset({"thumbs.db", "desktop.ini", "readme.md", "readme.txt", "readme", "license", "checksums.txt"})
_STRAY_SUFFIXES = (".tmp", ".temp", ".part", ".partial", ".crdownload", ".crc", ".bak", ".swp", ".lock", ".md5", ".sha256", "~")
_PREFIX = "dt="
_BESIDE = frozenset({"truth.json"})  # what a simulator writes beside its sources

# Bytes of landed files read at once, compressed ones counted with their usual factor: some gigabytes of rows in DuckDB at worst,
# which spill to disk under a memory limit.
_BATCH_BYTES = 256 * 2**20
_COMPRESSED_FACTOR = 6
_CHUNK_ROWS = 50_000
# Above that DuckDB's readers of text may drop a line without a word (its limits are 2 MB for CSV, 16 MB for JSON).
_LONGEST_LINE = 2**20
_BLOCK = 2**20
# Statements over thousands of columns take minutes and gigabytes.
_MOST_COLUMNS = 1_000
_SHOWN = 40  # characters of a refused value in a message

_INTEGERS = frozenset({"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "HUGEINT"})
_TIMES = frozenset({"TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "DATE"})
_ISO_TIMESTAMP = r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?( ?(Z|UTC|[+-]\d{2}(:?\d{2})?))?)?"
_ISO_DATE = r"\d{4}-\d{2}-\d{2}([T ]00:00(:00(\.0{1,9})?)?( ?(Z|UTC|[+-]00(:?00)?))?)?"
_DECIMAL = r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?"
_INTEGER = r"[+-]?\d{1,18}(\.0*)?"


_BEFORE = ": before partition_start"


def out_of_scope(partition: Partition) -> int:
    """Rows of a partition that were refused because they happened before `partition_start`."""
    return sum(rows for reason, rows in partition.reasons.items() if _BEFORE in reason)


class IngestError(NorthstarError):
    """Partitions that were refused whole, each with file and cause; `entered` are those of the same call that are in the lake."""

    def __init__(self, source: str, failed: dict[date, str], entered: Sequence[Partition]) -> None:
        self.source, self.failed, self.entered = source, failed, tuple(entered)
        lines = "".join(f"\n  {_PREFIX}{day}: {cause}" for day, cause in sorted(failed.items()))
        count = "1 partition was" if len(failed) == 1 else f"{len(failed)} partitions were"
        super().__init__(f"{source}: {count} refused and nothing of it entered the lake:{lines}")


def landed(landing: Path) -> dict[str, list[date]]:
    """Return the sources and their arrival days in a landing zone, both sorted; days without a file are left out.

    UserError when the zone is missing or holds what the contract does not know: another source, a folder not called
    `dt=YYYY-MM-DD`, a file of another format. Ignored are `truth.json` at the top, names that begin with a dot or an underscore,
    and, with a note, what other programs leave behind (`.tmp`, `Thumbs.db`, `README.md`, …).
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
    partition_start: date = date(1970, 1, 1),
    ledger: erasure.Ledger | None = None,
    memory_limit: str | None = None,
) -> list[Partition]:
    """Ingest exactly these arrival days of one source, replacing what the lake holds of them, and return them, oldest first.

    timezone: the reporting time zone, in which arrival days and the histogram of event days are cut.
    max_quarantine_ratio: the share of one file's rows, from 0 to 1, above which its partition is refused.
    partition_start: the first day, in the reporting time zone, on which a fact may have happened; earlier ones are refused.
    ledger: the erasures in force, which the source `erasures` needs and enters its requests into; that source goes first.
    memory_limit: DuckDB's, such as "2GB"; beyond it, work spills to a temporary folder below the lake's root.

    IngestError when partitions were refused (an arrival day in the future, no landed file, an unreadable one, a required column
    missing, a column twice, too many bad rows); the others of the call are in the lake by then. UserError for a source or time
    zone that does not exist.
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
    today = datetime.now(zone).date()
    for day in sorted(set(arrived_dates)):
        # A collector in another time zone may be a day ahead.
        if day > today + timedelta(days=1):
            folder = landing / source / f"{_PREFIX}{day}"
            failed[day] = (
                f"{folder} names a day in the future (today is {today}, {timezone}); rename it to the day on which it arrived"
            )
        elif files := _landed_files(landing, source, day):
            waiting[day] = files
        else:
            failed[day] = f"no file has landed in {landing / source / f'{_PREFIX}{day}'}"
    with lake.connect(memory_limit) as connection:
        for batch in _batches(waiting):
            run = _Batch(connection, CONTRACT[source], zone, max_quarantine_ratio, partition_start, ledger)
            with tempfile.TemporaryDirectory(prefix=SPILL_PREFIX, dir=lake.root) as scratch:
                entered += run.ingest(batch, lake, Path(scratch))
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
    files = []
    for entry in _visible(folder):
        name = entry.name.lower()
        if name in _STRAY_NAMES or name.endswith(_STRAY_SUFFIXES):
            _logger.info("%s is ignored: its name says that it holds no data", entry.path)
        elif entry.is_dir() or not name.endswith(FORMATS):
            suffix = "".join(Path(name).suffixes[-2:]) or name
            raise UserError(f"{entry.path}: unreadable format; {_nearest(suffix, FORMATS)}")
        else:
            files.append(Path(entry.path))
    return files


def _identity(path: Path) -> tuple[str, int, int]:
    """Return name, size and modification time; a file that cannot be looked at, a broken link, has size -1."""
    try:
        status = path.stat()
    except OSError:
        return path.name, -1, 0
    return path.name, status.st_size, status.st_mtime_ns


def _nearest(name: str, known: Iterable[str]) -> str:
    names = list(known)
    if close := nearest(name, names):
        return f"did you mean {close[0]}?"
    return f"known are {', '.join(names)}"


def _batches(waiting: dict[date, list[Path]]) -> Iterator[dict[date, list[Path]]]:
    """Cut the partitions into runs of at most `_BATCH_BYTES`, a larger one alone."""
    batch: dict[date, list[Path]] = {}
    size = 0
    for day, files in waiting.items():
        weight = sum(_identity(file)[1] * (1 if file.name.lower().endswith(_ROWS) else _COMPRESSED_FACTOR) for file in files)
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
    """A landed file with what was read of it before its rows.

    format: one of ".parquet", ".csv", ".tsv" and ".jsonl". plain: the file to read rows from, unpacked where `path` is
    compressed. header: a name (and for Parquet the type) per column. is_odd: whether a line is longer than DuckDB surely takes.
    has_nul: whether NUL characters may be in it, in JSON as an escape.
    """

    path: Path
    day: date
    format: str
    size: int
    mtime_ns: int
    plain: Path
    sha256: str = ""
    header: tuple[tuple[str, str], ...] = ()
    is_odd: bool = False
    has_nul: bool = False


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
        start: date,
        ledger: erasure.Ledger | None,
    ) -> None:
        self.connection, self.source, self.zone, self.ledger = connection, source, zone, ledger
        self.max_ratio, self.start = max_ratio, start
        self.failed: dict[date, str] = {}
        self.unknown: dict[date, set[str]] = defaultdict(set)
        self.missing: dict[date, set[str]] = defaultdict(set)

    def ingest(self, batch: dict[date, list[Path]], lake: Lake, scratch: Path) -> list[Partition]:
        """Read, judge and write; what fails is in `failed` afterwards. Compressed files are unpacked into `scratch`."""
        lake.prepare(self.connection, self.source)
        files = [file for day, paths in batch.items() for path in paths if (file := self._inspect(path, day, scratch))]
        groups: dict[tuple[object, ...], list[_File]] = defaultdict(list)
        for file in files:
            if file.header or file.format == ".jsonl":
                # A file with lines that DuckDB may drop is read by itself, not to slow down the others.
                groups[file.format, file.header, file.has_nul, file.path if file.is_odd else None].append(file)
        readers = {".parquet": self._read_parquet, ".csv": self._read_csv, ".tsv": self._read_csv, ".jsonl": self._read_jsonl}
        for group in groups.values():
            self._within_memory(readers[group[0].format], group)
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

    def _within_memory(self, reader: "Callable[[list[_File]], None]", group: list[_File]) -> None:
        """Read files together, or one by one where memory is short; a file that is too much by itself fails."""
        try:
            reader(group)
        except duckdb.OutOfMemoryException as error:
            if len(group) > 1:
                for file in group:
                    self._within_memory(reader, [file])
            else:
                cause = f"reading its {len(group[0].header) or 'many'} columns takes more than memory_limit: {_first_line(error)}"
                self._fail(group[0], f"{cause}; raise memory_limit in northstar.toml or land it in smaller files")

    def _inspect(self, path: Path, day: date, scratch: Path) -> _File | None:
        _, size, mtime_ns = _identity(path)
        name = path.name.lower()
        rows = next((rows for rows in _ROWS if name.removesuffix(".gz").removesuffix(".zst").endswith(rows)), ".parquet")
        kind = ".jsonl" if rows == ".ndjson" else rows
        plain = scratch / f"{day}-{len(list(scratch.iterdir()))}" if name.endswith(_PACKED) else path
        file = _File(path, day, kind, size, mtime_ns, plain)
        try:
            if "\\" in path.name:
                raise _RefusedError("its name holds a backslash; rename it")
            if plain != path:
                _unpack(path, plain)
            file = replace(file, sha256=digests.of_file(path))
            if size == 0 or plain.stat().st_size == 0:
                return file  # a writer's part without rows
            if kind == ".parquet":
                return self._inspected_parquet(file, scratch)
            is_odd, has_nul = _peculiarities(plain, kind)
            file = replace(file, is_odd=is_odd, has_nul=has_nul)
            if kind != ".jsonl":
                file = replace(file, header=_csv_header(plain, _DELIMITERS[kind]))
                self._match(file, [name for name, _ in file.header])
        except _RefusedError as refused:
            self._fail(file, str(refused))
            return None
        except (OSError, EOFError, zlib.error) as error:
            self._fail(file, f"unreadable: {error.strerror or error if isinstance(error, OSError) else error}")
            return None
        return file

    def _inspected_parquet(self, file: _File, scratch: Path) -> _File:
        """Give a Parquet file its header; one whose column names clash with DuckDB's own is copied with names that do not."""
        header = _parquet_header(file.path)
        file = replace(file, header=header, has_nul=True)
        self._match(file, [name for name, _ in header])
        if {name.lower() for name, _ in header} & _RESERVED:
            import pyarrow.parquet as pq

            file = replace(file, plain=scratch / f"{file.day}-{len(list(scratch.iterdir()))}")
            table = pq.read_table(file.path)
            pq.write_table(table.rename_columns([f"c{i}" for i in range(table.num_columns)]), file.plain)
        return file

    def _match(self, file: _File, names: Sequence[str], *, is_spelled_freely: bool = False) -> dict[str, list[str]]:
        """Map plain column names onto a file's own; note unknown and missing ones; refuse what cannot be matched.

        is_spelled_freely: whether a column may go by several spellings, as it may in objects that differ from row to row.
        """
        if len(names) > _MOST_COLUMNS:
            remedy = "is it transposed? Attributes of any name belong into one column, as a JSON object"
            raise _RefusedError(f"it has {len(names):,} columns, more than {_MOST_COLUMNS:,}: {remedy}")
        known = {column.name for column in self.source.columns}
        found: dict[str, list[str]] = defaultdict(list)
        for name in names:
            plain = name.strip().lower()
            if plain in found and not is_spelled_freely:
                raise _RefusedError(f"column {plain} is there twice")
            found[plain].append(name)
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
        is_renamed = group[0].plain != group[0].path
        names = [f"c{i}" if is_renamed else name for i, (name, _) in enumerate(group[0].header)]
        columns = ", ".join(f"{identifier(name)} AS c{i}" for i, name in enumerate(names))
        scan = (
            f"SELECT {columns}, filename AS path, file_row_number + 1 AS n FROM read_parquet({_paths(group)}, "
            "filename = true, file_row_number = true, binary_as_string = true, hive_partitioning = false)"
        )
        try:
            described = self.connection.execute(f"DESCRIBE {scan}").fetchall()
            cells = {
                name.strip().lower(): _Cell(f"c{i}", str(described[i][1]), has_nul=True)
                for i, (name, _) in enumerate(group[0].header)
            }
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
        width, delimiter = len(group[0].header), _DELIMITERS[group[0].format]
        columns = ", ".join(f"'c{i}': 'VARCHAR'" for i in range(width))
        if group[0].is_odd:
            self._read_tolerantly(group[0], [f"c{i}" for i in range(width)], _csv_records)
            self._judge_csv(group, "SELECT * FROM raw")
            return
        try:
            self.connection.execute(
                f"CREATE OR REPLACE TABLE raw AS SELECT * FROM read_csv({_paths(group)}, columns = {{{columns}}}, "
                f"filename = 'path', header = true, auto_detect = false, delim = {literal(delimiter)}, "
                "quote = '\"', escape = '\"', compression = 'none', hive_partitioning = false)"
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
        has_nul = group[0].has_nul
        cells = {name.strip().lower(): _Cell(f"c{i}", has_nul=has_nul) for i, (name, _) in enumerate(group[0].header)}
        self._judge(scan, group, cells, _json_object((name, cell.text) for name, cell in cells.items()))

    def _read_jsonl(self, group: list[_File]) -> None:
        try:
            self.connection.execute(
                f"CREATE OR REPLACE TABLE raw AS SELECT json::VARCHAR AS line, filename AS path FROM read_ndjson_objects("
                f"{_paths(group)}, filename = true, ignore_errors = true, compression = 'none', hive_partitioning = false)"
            )
            odd = self.connection.execute("SELECT DISTINCT path FROM raw WHERE line IS NULL OR NOT starts_with(ltrim(line), '{')")
            suspects = {path for (path,) in odd.fetchall()} | {str(file.plain) for file in group if file.is_odd}
        except duckdb.OutOfMemoryException:
            raise
        except duckdb.Error:
            suspects = {str(file.plain) for file in group}
        if sound := [file for file in group if str(file.plain) not in suspects]:
            self._judge_jsonl(sound, _numbered("raw"))
        for file in group:
            if str(file.plain) in suspects:
                self._read_tolerantly(file, ["line"], _json_records)
                self.connection.execute(
                    "UPDATE raw SET malformed = 'malformed: not a JSON object', text = line, line = NULL "
                    "WHERE malformed IS NULL AND json_type(TRY_CAST(line AS JSON)) IS DISTINCT FROM 'OBJECT'"
                )
                self._judge_jsonl([file], "SELECT * FROM raw")

    def _judge_jsonl(self, group: list[_File], scan: str) -> None:
        if group[0].has_nul:
            self.connection.execute(f"UPDATE raw SET line = regexp_replace(line, {literal(_NUL_ESCAPES)}, '\\1', 'g')")
        keys: dict[str, list[str]] = {}
        listed = f"SELECT path, unnest(json_keys(line)) AS key FROM ({scan})"
        found = self.connection.execute(f"SELECT path, list_sort(list(DISTINCT key)) FROM ({listed}) GROUP BY path")
        headers: dict[str, list[str]] = dict(found.fetchall())
        matched = []
        for file in group:
            try:
                # A file without an object has no columns to miss; its malformed lines are judged all the same.
                spelled = headers.get(str(file.plain))
                for plain, names_here in self._match(file, spelled, is_spelled_freely=True).items() if spelled else ():
                    known = keys.setdefault(plain, [])
                    known += [name for name in names_here if name not in known]
                matched.append(file)
            except _RefusedError as refused:
                self._fail(file, str(refused))
        if not matched:
            return
        ids = {column.name for column in self.source.columns if column.type is Type.ID}
        pointers: list[str] = []
        cells = {}
        for plain, spellings in keys.items():
            values = []
            for name in spellings:
                pointers.append(literal("/" + name.replace("~", "~0").replace("/", "~1")))
                value = f"x[{len(pointers)}]"
                if plain in ids:
                    # What a file holds as a number is told from a text by its type, which is asked for where it matters alone.
                    whole = f"ends_with({value}, '.0') AND json_type(line, {pointers[-1]}) = 'DOUBLE'"
                    value = f"CASE WHEN {whole} THEN left({value}, -2) ELSE {value} END"
                values.append(value)
            cells[plain] = _Cell(f"coalesce({', '.join(values)})" if len(values) > 1 else values[0])
        listed = f"[{', '.join(pointers)}]::VARCHAR[]"
        self._judge(f"SELECT *, json_extract_string(line, {listed}) AS x FROM ({scan})", matched, cells, "line")

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
            with file.plain.open("rb") as stream:
                lines = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")
                numbered = enumerate(records(lines, len(columns), _DELIMITERS.get(file.format, "")), start=1)
                while chunk := list(itertools.islice(numbered, _CHUNK_ROWS)):
                    rows = [(str(file.plain), n, *cells, malformed, text) for n, (cells, malformed, text) in chunk]
                    values = zip(*rows, strict=True)
                    arrays = [
                        pa.array(v, pa.int64() if kind == "BIGINT" else pa.string())
                        for v, (_, kind) in zip(values, fields, strict=True)
                    ]
                    table = pa.Table.from_arrays(arrays, [name for name, _ in fields])
                    self.connection.register("chunk", table).execute("INSERT INTO raw FROM chunk")
                    self.connection.unregister("chunk")
        except OSError as error:
            self._fail(file, f"unreadable: {error.strerror or error}")

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
        if column.above is not None:
            yield f"{value} <= {column.above}", f"{name}: not above {column.above}"
        if column.type is Type.CURRENCY:
            # A value is three capitals by now. One text is planned faster than 170.
            known = " ".join(sorted(CURRENCIES | MISTAKEN_CURRENCIES.keys()))
            yield f"NOT contains({literal(known)}, {value})", f"{name}: not in ISO 4217"
            for written, meant in MISTAKEN_CURRENCIES.items():
                yield f"{value} = {literal(written)}", f"{name}: not in ISO 4217; did you mean {meant}?"
        if column.maximum is not None:
            yield f"{value} > {column.maximum}", f"{name}: above {column.maximum}"
        if column.type is Type.TIMESTAMP:
            yield f"{value} < '{self._instant(self.start)}'", f"{name}{_BEFORE}"
        if column.type is Type.DATE:
            yield f"{value} < '{self.start}'", f"{name}{_BEFORE}"
        if column.may_lie_ahead:
            yield f"{value} >= '2200-01-01'", f"{name}: after 2199"
        elif column.type is Type.TIMESTAMP:
            yield f"{value} >= latest", f"{name}: in the future of its arrival"
        elif column.type is Type.DATE:
            yield f"{value} > day + 1", f"{name}: in the future of its arrival"

    def _register_files(self, group: list[_File]) -> None:
        """Table `files`: path, name, day, and the instant from which a fact would lie in the future (UTC)."""
        self.connection.execute("CREATE OR REPLACE TABLE files (path VARCHAR, name VARCHAR, day DATE, latest TIMESTAMP)")
        rows = ", ".join(
            f"({literal(str(file.plain))}, {literal(file.path.name)}, DATE '{file.day}', TIMESTAMP '{self._latest(file.day)}')"
            for file in group
        )
        self.connection.execute(f"INSERT INTO files VALUES {rows}")

    def _latest(self, day: date) -> str:
        """Return the end of the day after an arrival day, UTC: clocks of sources run ahead by hours, hardly by days."""
        return self._instant(day + timedelta(days=2))

    def _instant(self, day: date) -> str:
        """Return the first instant of a local day, UTC."""
        return datetime.combine(day, time(), tzinfo=self.zone).astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ")

    # --- counting and writing

    def _count(self, files: list[_File]) -> dict[date, list[LandedFile]]:
        """Landed files with their counts, by day; a partition with a file above the quarantine ratio is failed."""
        # What happened before the first day there is, is out of scope and says nothing about the rest of its file.
        is_bad = f"len(list_filter(reasons, reason -> NOT contains(reason, {literal(_BEFORE)}))) > 0"
        counted = self.connection.execute(
            f"SELECT day, file, count(*), count(reasons), count(*) FILTER ({is_bad}) FROM judged GROUP BY ALL"
        ).fetchall()
        counts = {(day, name): (rows, refused, bad) for day, name, rows, refused, bad in counted}
        result: dict[date, list[LandedFile]] = defaultdict(list)
        for file in files:
            rows, refused, bad = counts.get((file.day, file.path.name), (0, 0, 0))
            if bad > self.max_ratio * rows and file.day not in self.failed:
                self._fail(file, f"{bad} of {rows} rows are bad, more than {self.max_ratio:.2%}: {self._why(file)}")
            if not file.path.exists() or _identity(file.path)[1:] != (file.size, file.mtime_ns):
                self._fail(file, "it changed while it was read")
            result[file.day].append(
                LandedFile(file.path.name, file.size, file.mtime_ns, file.sha256, rows, rows - refused, refused)
            )
        return result

    def _why(self, file: _File) -> str:
        found = self.connection.execute(
            "SELECT reason, count(*) AS rows, min(n), arg_min(raw, n) "
            "FROM (SELECT n, raw, unnest(reasons) AS reason FROM judged WHERE day = ? AND file = ?) "
            "GROUP BY ALL ORDER BY rows DESC, reason LIMIT 5",
            [file.day, file.path.name],
        )
        return "; ".join(
            f"{reason} ({rows}, first in row {first}{self._shown(reason, raw)})" for reason, rows, first, raw in found.fetchall()
        )

    def _shown(self, reason: str, raw: str) -> str:
        """Return the value that a reason is about, cut; nothing for ids and for what says something about a person."""
        column = next((column for column in self.source.columns if reason.startswith(f"{column.name}: ")), None)
        if column is None or column.type is Type.ID or column.personal is not None:
            return ""
        row = json.loads(raw)
        value = next((value for name, value in row.items() if name.strip().lower() == column.name and value is not None), None)
        if value is None:
            return ""
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        return f": {text[:_SHOWN] + '…' if len(text) > _SHOWN else text!r}"

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
    has_nul: bool = False  # whether NUL characters may be in it

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
            return f"replace({self.sql}, chr(0), '')" if self.has_nul else self.sql
        if self.type == "JSON" or self.type.endswith("]") or self.type.startswith(("STRUCT", "MAP", "UNION")):
            return f"to_json({self.sql})::VARCHAR"
        return f"{self.sql}::VARCHAR"

    def judged(self, wanted: Type) -> str:
        """Give the SQL for what is judged: the native value, or the trimmed text with NULL for an empty one."""
        if self.is_native(wanted):
            return f"timezone('UTC', {self.sql})" if self.type == "TIMESTAMP WITH TIME ZONE" else self.sql
        text = self.text
        # Ids with gaps become floating-point numbers in data frames, and decimals elsewhere: 17850.0 is 17850.
        if wanted is Type.ID and self.type in {"DOUBLE", "FLOAT"}:
            is_whole = f"abs({self.sql}) < 1e18 AND {self.sql} = trunc({self.sql})"
            text = f"CASE WHEN {is_whole} THEN {self.sql}::BIGINT::VARCHAR ELSE {text} END"
        elif wanted is Type.ID and self.type.startswith("DECIMAL"):
            text = f"regexp_replace({text}, '\\.0+$', '')"
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
                whole = f"TRY_CAST({judged} AS TIMESTAMP WITH TIME ZONE)"
                apart = f"TRY_CAST(regexp_replace({judged}, ' ([Z+-])', '\\1') AS TIMESTAMP WITH TIME ZONE)"
                return _when(judged, _ISO_TIMESTAMP, f"coalesce({whole}, {apart})::TIMESTAMP")
            case Type.DATE:
                return _when(judged, _ISO_DATE, f"TRY_CAST(left({judged}, 10) AS DATE)")
            case Type.CURRENCY:
                return _when(judged, "[A-Za-z]{3}", f"upper({judged})")
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
    # Nearly every cell is clean, and seeing that costs a ninth of trimming it; below "!" are white space and controls, and where
    # there are as many bytes as characters no white space of Unicode is.
    clean = " AND ".join(f"NOT ends_with({text}, chr({code}))" for code in (32, 9, 10, 13))
    trimmed = f"nullif(trim({text}, {literal(_WHITE_SPACE)}), '')"
    return f"CASE WHEN {text} >= '!' AND {clean} AND strlen({text}) = length({text}) THEN {text} ELSE {trimmed} END"


def _when(text: str, pattern: str, value: str) -> str:
    return f"CASE WHEN regexp_full_match({text}, '{pattern}') THEN {value} END"


# --- files ---------------------------------------------------------------------------------------------------------------------

_DELIMITERS = {".csv": ",", ".tsv": "\t"}
# Names that DuckDB's Parquet reader gives columns of its own, and none.
_RESERVED = frozenset({"filename", "file_row_number", "file_index", ""})
# White space beside the plain one: controls, Unicode's, and the invisible marks that spreadsheets leave.
_WHITE_SPACE = "".join(
    map(
        chr,
        (*range(9, 14), 32, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200C), 0x2028, 0x2029, 0x202F, 0x205F, 0x2060, 0x3000, 0xFEFF),
    )
)
# `\u0000` in JSON, not behind a backslash that is itself escaped.
_NUL_ESCAPES = r"((?:^|[^\\])(?:\\\\)*)(?:\\u0000)+"


def _unpack(path: Path, target: Path) -> None:
    """Unpack a compressed file; OSError, EOFError or zlib.error when it is cut off or does not fit its checksum."""
    with target.open("wb") as plain:
        if path.name.lower().endswith(".gz"):
            with gzip.open(path, "rb") as packed:
                shutil.copyfileobj(packed, plain, _BLOCK)
        elif path.stat().st_size:
            import pyarrow as pa

            with pa.OSFile(str(path)) as file, pa.CompressedInputStream(file, "zstd") as packed:
                while block := packed.read(_BLOCK):
                    plain.write(block)


def _peculiarities(path: Path, kind: str) -> tuple[bool, bool]:
    """Whether a text file has lines that DuckDB may drop for their length, and NUL characters (in JSON, escapes of them)."""
    nul = b"\\u0000" if kind == ".jsonl" else b"\0"
    length, is_odd, has_nul, end = 0, False, False, b""
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            has_nul = has_nul or nul in end + block
            first = block.find(b"\n")
            if first < 0:
                length += len(block)
            else:
                is_odd = is_odd or length + first > _LONGEST_LINE
                length = len(block) - block.rfind(b"\n")
            end = block[-len(nul) :]
    return is_odd or length > _LONGEST_LINE, has_nul


def _csv_header(path: Path, delimiter: str) -> tuple[tuple[str, str], ...]:
    with path.open("rb") as stream, io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="") as lines:
        _, names, why = next(_csv_lines(lines, delimiter), ("", [], ""))
        try:
            "".join(names or ()).encode()
        except UnicodeEncodeError:
            raise _RefusedError("its header is not UTF-8") from None
    if names is None:
        raise _RefusedError(f"its header is malformed: {why}")
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
    return tuple(
        (column.name if column.name.strip() else f"column_{i}", str(column.type)) for i, column in enumerate(schema, start=1)
    )


_Record = tuple[Sequence[str | None], str | None, str | None]
"""Cells, and for a malformed line the reason and the line itself."""


_Reader = Callable[[Iterable[str], int, str], Iterator[_Record]]
"""A tolerant reader: lines, the number of columns and what separates them in, one record per row out."""


def _refused(line: str, width: int, why: str) -> _Record:
    try:
        line.encode()
    except UnicodeEncodeError:
        line, why = line.encode(errors="surrogateescape").decode(errors="backslashreplace"), "not UTF-8"
    return [None] * width, f"malformed: {why}", line.rstrip("\r\n")


def _csv_records(lines: Iterable[str], width: int, delimiter: str) -> Iterator[_Record]:
    """Yield the records of a CSV file below its header, of which some are malformed."""
    for record, cells, why in itertools.islice(_csv_lines(lines, delimiter), 1, None):
        while cells is not None and len(cells) > width and not cells[-1]:
            cells.pop()
        if cells is None:
            yield _refused(record, width, why)
        elif len(cells) != width:
            yield _refused(record, width, f"{len(cells)} cells instead of {width}")
        elif not record.isascii() and (refused := _refused(record, width, ""))[1] == "malformed: not UTF-8":
            yield refused
        else:
            yield [cell or None for cell in cells], None, None


def _csv_lines(lines: Iterable[str], delimiter: str) -> Iterator[tuple[str, list[str] | None, str]]:
    """Yield the text of each record with its cells, or None and what is wrong; after a broken quote the next line goes on."""
    ends = re.escape(delimiter)
    quoted = re.compile(rf' *"((?:[^"]|"")*)" *(?={ends}|\Z)')
    plain = re.compile(rf"[^{ends}]*")
    source = iter(lines)
    waiting: deque[str] = deque()
    for line in _drained(waiting, source):
        if not line.strip("\r\n"):
            continue
        if '"' not in line:
            yield line, line.rstrip("\r\n").split(delimiter), ""
            continue
        record = [line]
        text = line
        while (cells := _cells(text.rstrip("\r\n"), quoted, plain)) is None:
            # A cell is open, which the next line with a quote may close.
            further = _until_quote(waiting, source)
            if not further:
                break
            record += further
            text = "".join(record)
            if '"' not in record[-1]:
                break
        if cells:
            yield text, cells, ""
        else:
            waiting.extendleft(reversed(record[1:]))
            yield line, None, "broken quote"


def _cells(text: str, quoted: "re.Pattern[str]", plain: "re.Pattern[str]") -> list[str] | None:
    """Split a record; None while a quoted cell is open, an empty list when a quote is broken."""
    cells = []
    at = 0
    while True:
        if text.startswith('"', at) or text[at:].lstrip(" ").startswith('"'):
            found = quoted.match(text, at)
            if found is None:
                opening = text.index('"', at)
                # Open when every quote behind the opening one is doubled.
                return None if re.fullmatch(r'(?:[^"]|"")*', text[opening + 1 :]) else []
            cells.append(found[1].replace('""', '"'))
        else:
            found = plain.match(text, at)
            assert found is not None  # noqa: S101  (it matches nothing, too)
            cells.append(found[0])
        at = found.end()
        if at == len(text):
            return cells
        at += 1


def _until_quote(waiting: deque[str], source: Iterator[str]) -> list[str]:
    """Take lines up to one with a quote, that one included, or all that are left."""
    taken = []
    for line in _drained(waiting, source):
        taken.append(line)
        if '"' in line:
            break
    return taken


def _json_records(lines: Iterable[str], width: int, _: str) -> Iterator[_Record]:
    """Yield the lines of a file of JSON lines, blank ones left out; whether they are JSON is judged later, in one go."""
    for line in lines:
        if line.strip():
            record = _refused(line, width, "")
            yield record if record[1] == "malformed: not UTF-8" else ([line.rstrip("\r\n")], None, None)


def _drained(waiting: deque[str], source: Iterator[str]) -> Iterator[str]:
    """Yield lines that were put back, then those of the source, while others may be put back."""
    while True:
        if waiting:
            yield waiting.popleft()
        elif (line := next(source, None)) is not None:
            yield line
        else:
            return


# --- SQL -----------------------------------------------------------------------------------------------------------------------


def _paths(group: Iterable[_File]) -> str:
    return f"[{', '.join(literal(exact(file.plain)) for file in group)}]"


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
