"""Readers: rows of landed files as relations, one reader per format.

Belongs here: DuckDB's readers and their limits, and when a file is read line by line instead. Does not belong here: facts about
a file that need no rows (`files`), splitting lines in Python (`records`), or whether a row is good (`judging`).
"""

import io
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

import duckdb

from orchestration.base.sql import exact, identifier, literal
from orchestration.landing.cells import Cell, json_object
from orchestration.landing.files import DELIMITERS, InspectedFile, Inspection, RefusedError, first_line
from orchestration.landing.records import TolerantReader, csv_records, json_records
from orchestration.landing.source import Type

_CHUNK_ROWS = 50_000
# `\u0000` in JSON, unless its backslash is itself escaped.
_NUL_ESCAPES = r"((?:^|[^\\])(?:\\\\)*)(?:\\u0000)+"

# A line as it landed; of the white space around it DuckDB's reader keeps a part.
_OBJECT = "trim(line, ' \t\r')"


class RowJudge(Protocol):
    """Receiver of a reader's rows."""

    def judge(self, scan: str, group: list[InspectedFile], cells: dict[str, Cell], raw: str) -> None:
        """Judge the rows of `scan` (path, n, c0, c1, …); raw: SQL for a row as it landed, in JSON."""
        ...

    def withdraw(self, group: list[InspectedFile]) -> None:
        """Forget the rows of these files, which will be read again."""
        ...


class Readers:
    """Readers of the formats for one source on one connection; unreadable files fail in `inspection`."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, inspection: Inspection, judge: RowJudge) -> None:
        self.connection, self.inspection, self._rows = connection, inspection, judge

    def read(self, files: Iterable[InspectedFile]) -> None:
        """Read files, those with equal format and header together, and have their rows judged."""
        groups: dict[tuple[object, ...], list[InspectedFile]] = defaultdict(list)
        for file in files:
            if file.header or file.format == ".jsonl":
                # A file with lines that DuckDB may drop is read alone, so as not to slow down the others.
                groups[file.format, file.header, file.has_nul, file.path if file.is_odd else None].append(file)
        readers = {".parquet": self._read_parquet, ".csv": self._read_csv, ".tsv": self._read_csv, ".jsonl": self._read_jsonl}
        for group in groups.values():
            self._within_memory(readers[group[0].format], group)

    def _within_memory(self, reader: "Callable[[list[InspectedFile]], None]", group: list[InspectedFile]) -> None:
        """Read files together, or one by one if memory runs out; a file that is too large alone fails."""
        try:
            reader(group)
        except duckdb.OutOfMemoryException as error:
            if len(group) > 1:
                # The sound files of a group are judged before its malformed ones are read.
                self._rows.withdraw(group)
                for file in group:
                    self._within_memory(reader, [file])
            else:
                cause = f"reading its {len(group[0].header) or 'many'} columns takes more than memory_limit: {first_line(error)}"
                self.inspection.fail(group[0], f"{cause}; raise memory_limit in northstar.toml or land it in smaller files")

    def _read_parquet(self, group: list[InspectedFile]) -> None:
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
                name.strip().lower(): Cell(f"c{i}", str(described[i][1]), has_nul=True)
                for i, (name, _) in enumerate(group[0].header)
            }
            self._rows.judge(scan, group, cells, json_object((name, cell.text) for name, cell in cells.items()))
        except duckdb.OutOfMemoryException:
            raise
        except duckdb.Error as error:
            if len(group) > 1:
                for file in group:
                    self._read_parquet([file])
            else:
                self.inspection.fail(group[0], f"unreadable: {first_line(error)}")

    def _read_csv(self, group: list[InspectedFile]) -> None:
        columns = [f"c{i}" for i in range(len(group[0].header))]
        malformed = group if group[0].is_odd else self._read_strictly(group, columns)
        if sound := [file for file in group if file not in malformed]:
            self._judge_csv(sound, _numbered("raw"))
        if malformed:
            self._read_tolerantly(malformed, columns, csv_records)
            self._judge_csv(malformed, "SELECT * FROM raw")

    def _read_strictly(self, group: list[InspectedFile], columns: list[str]) -> list[InspectedFile]:
        """Fill `raw` from the files whose lines are all well formed, and return the others.

        DuckDB's strict reading stops at the first malformed line; its lenient reading neither numbers rows nor gets past a broken
        quote. So files are scanned together, and when that fails one by one; what is left is for `_read_tolerantly`.
        """
        types = ", ".join(f"'{column}': 'VARCHAR'" for column in columns)

        def is_read(files: list[InspectedFile]) -> bool:
            try:
                self.connection.execute(
                    f"INSERT INTO raw SELECT * FROM read_csv({_paths(files)}, columns = {{{types}}}, filename = 'path', "
                    f"header = true, auto_detect = false, delim = {literal(DELIMITERS[files[0].format])}, quote = '\"', "
                    "escape = '\"', compression = 'none', hive_partitioning = false)"
                )
            except duckdb.OutOfMemoryException:
                raise
            except duckdb.Error:
                return False
            return True

        self.connection.execute(f"CREATE OR REPLACE TABLE raw ({', '.join(f'{name} VARCHAR' for name in [*columns, 'path'])})")
        if is_read(group):
            return []
        return group if len(group) == 1 else [file for file in group if not is_read([file])]

    def _judge_csv(self, group: list[InspectedFile], scan: str) -> None:
        has_nul, is_plain = group[0].has_nul, all(file.is_plain for file in group)
        cells = {
            name.strip().lower(): Cell(f"c{i}", has_nul=has_nul, is_plain=is_plain) for i, (name, _) in enumerate(group[0].header)
        }
        self._rows.judge(scan, group, cells, json_object((name, cell.text) for name, cell in cells.items()))

    def _read_jsonl(self, group: list[InspectedFile]) -> None:
        try:
            self.connection.execute(
                f"CREATE OR REPLACE TABLE raw AS SELECT json::VARCHAR AS line, filename AS path "
                f"FROM read_ndjson_objects({_paths(group)}, filename = true, ignore_errors = true, "
                "compression = 'uncompressed', hive_partitioning = false)"
            )
            odd = self.connection.execute("SELECT DISTINCT path FROM raw WHERE line IS NULL OR NOT starts_with(ltrim(line), '{')")
            suspects = {path for (path,) in odd.fetchall()} | {str(file.plain) for file in group if file.is_odd}
        except (duckdb.InvalidInputException, duckdb.IOException):
            suspects = {str(file.plain) for file in group}
        if sound := [file for file in group if str(file.plain) not in suspects]:
            self._judge_jsonl(sound, _numbered("raw"))
        if others := [file for file in group if str(file.plain) in suspects]:
            self._read_tolerantly(others, ["line"], json_records)
            self.connection.execute(
                "UPDATE raw SET malformed = 'malformed: not a JSON object', text = line, line = NULL "
                "WHERE malformed IS NULL AND json_type(TRY_CAST(line AS JSON)) IS DISTINCT FROM 'OBJECT'"
            )
            self._judge_jsonl(others, "SELECT * FROM raw")

    def _judge_jsonl(self, group: list[InspectedFile], scan: str) -> None:
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
                for plain, names_here in self.inspection.match(file, spelled, is_spelled_freely=True).items() if spelled else ():
                    known = keys.setdefault(plain, [])
                    known += [name for name in names_here if name not in known]
                matched.append(file)
            except RefusedError as refused:
                self.inspection.fail(file, str(refused))
        if not matched:
            return
        ids = {column.name for column in self.inspection.source.columns if column.type is Type.ID}
        is_plain = all(file.is_plain for file in matched)
        pointers: list[str] = []
        cells: dict[str, Cell] = {}
        columns: list[str] = []
        for plain, spellings in keys.items():
            values = []
            for name in spellings:
                pointers.append(literal("/" + name.replace("~", "~0").replace("/", "~1")))
                value = f"x[{len(pointers)}]"
                if plain in ids:
                    # Only the JSON type tells a number from a text; it is queried only where it matters.
                    whole = f"ends_with({value}, '.0') AND json_type(line, {pointers[-1]}) = 'DOUBLE'"
                    value = f"CASE WHEN {whole} THEN left({value}, -2) ELSE {value} END"
                values.append(value)
            cells[plain] = Cell(f"c{len(columns)}", is_plain=is_plain)
            value = f"coalesce({', '.join(values)})" if len(values) > 1 else values[0]
            columns.append(f"{value} AS c{len(columns)}")
        extracted = f"SELECT *, json_extract_string(line, [{', '.join(pointers)}]::VARCHAR[]) AS x FROM ({scan})"
        # Cells are extracted before they are judged, which names each several times.
        self._rows.judge(f"SELECT {', '.join(['* EXCLUDE (x)', *columns])} FROM ({extracted})", matched, cells, _OBJECT)

    def _read_tolerantly(self, files: list[InspectedFile], columns: list[str], records: "TolerantReader") -> None:
        """Fill `raw` from files with malformed lines: path, n, columns, and for malformed lines the reason and the text."""
        import pyarrow as pa

        fields = [
            ("path", "VARCHAR"),
            ("n", "BIGINT"),
            *((column, "VARCHAR") for column in columns),
            ("malformed", "VARCHAR"),
            ("text", "VARCHAR"),
        ]
        self.connection.execute(f"CREATE OR REPLACE TABLE raw ({', '.join(f'{name} {kind}' for name, kind in fields)})")
        rows = itertools.chain.from_iterable(self._tolerated(file, len(columns), records) for file in files)
        while chunk := list(itertools.islice(rows, _CHUNK_ROWS)):
            values = zip(*chunk, strict=True)
            arrays = [
                pa.array(v, pa.int64() if kind == "BIGINT" else pa.string()) for v, (_, kind) in zip(values, fields, strict=True)
            ]
            table = pa.Table.from_arrays(arrays, [name for name, _ in fields])
            self.connection.register("chunk", table).execute("INSERT INTO raw FROM chunk")
            self.connection.unregister("chunk")

    def _tolerated(self, file: InspectedFile, width: int, records: "TolerantReader") -> Iterator[tuple[object, ...]]:
        """Yield the rows of one file for `raw`; a file that cannot be read to its end fails."""
        try:
            with file.plain.open("rb") as stream:
                lines = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")
                for n, (cells, malformed, text) in enumerate(records(lines, width, DELIMITERS.get(file.format, "")), start=1):
                    yield str(file.plain), n, *cells, malformed, text
        except OSError as error:
            self.inspection.fail(file, f"unreadable: {error.strerror or error}")


def _paths(group: Iterable[InspectedFile]) -> str:
    return f"[{', '.join(literal(exact(file.plain)) for file in group)}]"


def _numbered(table: str) -> str:
    """Return the SQL for the rows of a table that one scan filled in order, each with its number within its file."""
    return (
        f"SELECT {table}.*, {table}.rowid - first + 1 AS n FROM {table} "
        f"INNER JOIN (SELECT path AS of, min(rowid) AS first FROM {table} GROUP BY path) ON of = path"
    )
