"""Landed files before their rows are read: unpacked, hashed, and their columns matched with the contract.

Belongs here: facts about a file that need no rows, and the reasons to refuse a whole file. Does not belong here: finding files
(`arrivals`), reading rows (`readers`) or judging them (`judging`).
"""

import gzip
import io
import shutil
import zlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from orchestration.base import digests
from orchestration.landing.arrivals import PACKED, ROWS, identity
from orchestration.landing.records import csv_lines
from orchestration.landing.source import Source

DELIMITERS = {".csv": ",", ".tsv": "\t"}
# Names that DuckDB's Parquet reader uses for its own columns, and the empty name.
_RESERVED = frozenset({"filename", "file_row_number", "file_index", ""})
_BLOCK = 2**20
# Above this length DuckDB's text readers may silently drop a line (their limits are 2 MB for CSV, 16 MB for JSON).
_LONGEST_LINE = 2**20
# Statements over thousands of columns take minutes and gigabytes.
_MOST_COLUMNS = 1_000


@dataclass(frozen=True)
class InspectedFile:
    """A landed file and the facts read before its rows.

    format: one of ".parquet", ".csv", ".tsv" and ".jsonl". plain: the file to read rows from, unpacked where `path` is
    compressed. header: name and type (VARCHAR for text) per column. is_odd: whether a line may exceed DuckDB's limit.
    has_nul: whether it may contain NUL characters, in JSON as an escape. is_plain: whether the cells of a text file are ASCII
    and end with no white space but spaces.
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
    is_plain: bool = False


class RefusedError(Exception):
    """The reason why a file makes its whole partition fail, without the file's name."""


class Inspection:
    """Findings in the files of a batch before their rows are read.

    failed: refused arrival days, each with file and cause. unknown, missing: columns by arrival day.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.failed: dict[date, str] = {}
        self.unknown: dict[date, set[str]] = defaultdict(set)
        self.missing: dict[date, set[str]] = defaultdict(set)

    def fail(self, file: InspectedFile, cause: str) -> None:
        """Refuse the arrival day of a file; only the first cause is kept."""
        self.failed.setdefault(file.day, f"{file.path.name}: {cause}")

    def inspect(self, path: Path, day: date, scratch: Path) -> InspectedFile | None:
        """Inspect a file, unpacked into `scratch` if compressed; None when it makes its arrival day fail."""
        _, size, mtime_ns = identity(path)
        name = path.name.lower()
        rows = next((rows for rows in ROWS if name.removesuffix(".gz").removesuffix(".zst").endswith(rows)), ".parquet")
        kind = ".jsonl" if rows == ".ndjson" else rows
        plain = scratch / f"{day}-{len(list(scratch.iterdir()))}" if name.endswith(PACKED) else path
        file = InspectedFile(path, day, kind, size, mtime_ns, plain)
        try:
            if "\\" in path.name:
                raise RefusedError("its name holds a backslash; rename it")
            if plain != path:
                _unpack(path, plain)
            file = replace(file, sha256=digests.of_file(path))
            if size == 0 or plain.stat().st_size == 0:
                return file  # a part file without rows
            if kind == ".parquet":
                return self._inspected_parquet(file, scratch)
            is_odd, has_nul, is_plain = _peculiarities(plain, kind)
            file = replace(file, is_odd=is_odd, has_nul=has_nul, is_plain=is_plain)
            if kind != ".jsonl":
                file = replace(file, header=_csv_header(plain, DELIMITERS[kind]))
                self.match(file, [name for name, _ in file.header])
        except RefusedError as refused:
            self.fail(file, str(refused))
            return None
        except (OSError, EOFError, zlib.error) as error:
            self.fail(file, f"unreadable: {error.strerror or error if isinstance(error, OSError) else error}")
            return None
        return file

    def _inspected_parquet(self, file: InspectedFile, scratch: Path) -> InspectedFile:
        """Read a Parquet file's header; if its column names clash with DuckDB's own, copy it with other names."""
        header = _parquet_header(file.path)
        file = replace(file, header=header, has_nul=True)
        self.match(file, [name for name, _ in header])
        if {name.lower() for name, _ in header} & _RESERVED:
            import pyarrow.parquet as pq

            file = replace(file, plain=scratch / f"{file.day}-{len(list(scratch.iterdir()))}")
            table = pq.read_table(file.path)
            pq.write_table(table.rename_columns([f"c{i}" for i in range(table.num_columns)]), file.plain)
        return file

    def match(self, file: InspectedFile, names: Sequence[str], *, is_spelled_freely: bool = False) -> dict[str, list[str]]:
        """Map plain column names to the file's own; record unknown and missing ones; refuse columns that cannot be matched.

        is_spelled_freely: whether a column may have several spellings, as in objects that differ from row to row.
        """
        if len(names) > _MOST_COLUMNS:
            remedy = "is it transposed? Attributes of any name belong into one column, as a JSON object"
            raise RefusedError(f"it has {len(names):,} columns, more than {_MOST_COLUMNS:,}: {remedy}")
        known = {column.name for column in self.source.columns}
        found: dict[str, list[str]] = defaultdict(list)
        for name in names:
            plain = name.strip().lower()
            if plain in found and not is_spelled_freely:
                raise RefusedError(f"column {plain} is there twice")
            found[plain].append(name)
        if absent := [name for name in self.source.required_columns if name not in found]:
            raise RefusedError(
                f"required column {', '.join(absent)} is missing; its columns are {', '.join(n.strip() for n in names)}"
            )
        if self.source.one_of and not found.keys() & set(self.source.one_of):
            raise RefusedError(f"one of the columns {', '.join(self.source.one_of)} is required and all are missing")
        self.unknown[file.day] |= found.keys() - known
        self.missing[file.day] |= known - found.keys()
        return found


def _unpack(path: Path, target: Path) -> None:
    """Unpack a compressed file; OSError, EOFError or zlib.error when it is truncated or fails its checksum."""
    with target.open("wb") as plain:
        if path.name.lower().endswith(".gz"):
            with gzip.open(path, "rb") as packed:
                shutil.copyfileobj(packed, plain, _BLOCK)
        elif path.stat().st_size:
            import pyarrow as pa

            with pa.OSFile(str(path)) as file, pa.CompressedInputStream(file, "zstd") as packed:
                while block := packed.read(_BLOCK):
                    plain.write(block)


def _peculiarities(path: Path, kind: str) -> tuple[bool, bool, bool]:
    """Whether a text file has lines so long that DuckDB may drop them, NUL characters (in JSON, their escapes), plain cells."""
    nul = b"\\u0000" if kind == ".jsonl" else b"\0"
    has_plain_cells = _has_plain_objects if kind == ".jsonl" else _has_plain_cells
    length, is_odd, has_nul, is_plain, end = 0, False, False, kind != ".tsv", b""
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            whole = end + block
            has_nul = has_nul or nul in whole
            is_plain = is_plain and whole.isascii() and has_plain_cells(whole)
            first = block.find(b"\n")
            if first < 0:
                length += len(block)
            else:
                is_odd = is_odd or length + first > _LONGEST_LINE
                length = len(block) - block.rfind(b"\n")
            end = block[-len(nul) :]
    return is_odd or length > _LONGEST_LINE, has_nul, is_plain and not has_nul


def _has_plain_objects(block: bytes) -> bool:
    """Whether no text in JSON can hold white space but spaces: it would be escaped."""
    return b"\\" not in block or not any(escape in block for escape in (b"\\t", b"\\n", b"\\r", b"\\u"))


def _has_plain_cells(block: bytes) -> bool:
    """Whether no cell of a CSV file can end with white space but spaces: a line end would stand before a closing quote."""
    return b"\t" not in block and b'\n"' not in block and (b"\r" not in block or block.count(b"\r") == block.count(b"\r\n"))


def _csv_header(path: Path, delimiter: str) -> tuple[tuple[str, str], ...]:
    with path.open("rb") as stream, io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="") as lines:
        _, names, why = next(csv_lines(lines, delimiter), ("", [], ""))
        try:
            "".join(names or ()).encode()
        except UnicodeEncodeError:
            raise RefusedError("its header is not UTF-8") from None
    if names is None:
        raise RefusedError(f"its header is malformed: {why}")
    if not any(name.strip() for name in names):
        raise RefusedError("it has no header")
    # A data frame written with its index has an unnamed index column.
    return tuple((name if name.strip() else f"column_{i}", "VARCHAR") for i, name in enumerate(names, start=1))


def _parquet_header(path: Path) -> tuple[tuple[str, str], ...]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(path)
    except pa.ArrowException as error:
        raise RefusedError(f"unreadable: {first_line(error)}") from None
    return tuple(
        (column.name if column.name.strip() else f"column_{i}", str(column.type)) for i, column in enumerate(schema, start=1)
    )


def first_line(error: Exception) -> str:
    """First line of a library's message."""
    return str(error).strip().splitlines()[0]
