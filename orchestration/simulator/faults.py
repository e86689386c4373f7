"""Faults in landed files: rows that break the contract in every way it names, and columns that appear and disappear.

Belongs here: breaking good rows, and the expected reason for refusing each. Does not belong here: late and duplicate facts,
which are good rows (`events`, `tables`).
"""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa

from orchestration.landing.contract import CONTRACT
from orchestration.landing.source import Column, Source, Type
from orchestration.simulator import parameters as p
from orchestration.simulator.clock import Calendar, stream

_UNREADABLE = {
    Type.TIMESTAMP: ("yesterday, about noon", "a timestamp"),
    Type.DATE: ("2026-02-30", "a date"),
    Type.MONEY: ("CNY 12", "an amount"),
    Type.CURRENCY: ("yuan", "a currency code"),
    Type.NUMBER: ("n/a", "a number"),
    Type.RATE: ("1:7", "a number"),
    Type.INTEGER: ("three", "an integer"),
    Type.BOOLEAN: ("perhaps", "a boolean"),
    Type.JSON: ('["a list"]', "a JSON object"),
}
_TIMES = frozenset({Type.TIMESTAMP, Type.DATE})
_NOT_UTF8 = b"\xc4\xe3\xba\xc3"  # a greeting in GBK


@dataclass(frozen=True)
class Fault:
    """A way to break a row: the reason that ingest must give, the kind of that reason, and the replaced cells."""

    reason: str
    kind: str
    cells: tuple[tuple[str, str | None], ...]


def cell_faults(source: Source) -> list[Fault]:
    """Every way in which a cell of the source can break the contract; kinds that apply to few sources come first."""
    known = Counter(fault.kind for each in CONTRACT.values() for fault in _faults(each))
    return sorted(_faults(source), key=lambda fault: known[fault.kind])


def _faults(source: Source) -> Iterator[Fault]:
    for column in source.columns:
        yield from _column_faults(column)
    if source.one_of:
        both = "both" if len(source.one_of) == 2 else "all"
        yield Fault(
            f"{', '.join(source.one_of)}: {both} missing", "none of several", tuple((name, None) for name in source.one_of)
        )


def _column_faults(column: Column) -> Iterator[Fault]:
    def fault(kind: str, value: str | None) -> Fault:
        return Fault(f"{column.name}: {kind}", kind, ((column.name, value),))

    if column.required:
        yield fault("missing", None)
    if column.type in _UNREADABLE:
        value, noun = _UNREADABLE[column.type]
        yield fault(f"not {noun}", value)
    if column.allowed:
        broken = fault(f"not one of {', '.join(column.allowed)}", "other")
        yield Fault(broken.reason, "not allowed", broken.cells)
    if column.minimum is not None:
        yield Fault(f"{column.name}: below {column.minimum}", "below", ((column.name, str(column.minimum - 1)),))
    if column.above is not None:
        yield Fault(f"{column.name}: not above {column.above}", "not above", ((column.name, str(column.above)),))
    if column.type is Type.CURRENCY:
        yield Fault(f"{column.name}: not in ISO 4217; did you mean CNY?", "not in ISO 4217", ((column.name, "rmb"),))
    if column.maximum is not None:
        yield Fault(f"{column.name}: above {column.maximum}", "above", ((column.name, str(column.maximum + 1)),))
    if column.type in _TIMES:
        yield fault("before partition_start", "1969-12-31")
        yield fault("after 2199", "2200-01-01") if column.may_lie_ahead else fault("in the future of its arrival", "2199-12-31")


class Faults:
    """Plants bad rows in text files, each source's faults in turn, adds and drops columns, and counts the faults."""

    def __init__(self, calendar: Calendar, seed: int) -> None:
        self._calendar, self._seed = calendar, seed
        self._turn: Counter[str] = Counter()
        self.planted: dict[str, Counter[str]] = {}
        self._new_since: date | None = None
        self._missing_on: date | None = None

    def drift(self, source: str, day: int, table: pa.Table) -> pa.Table:
        """Return the table with the new column, or without the missing one, on the days planned for that."""
        name, column, position = p.NEW_COLUMN
        if source == name and day >= int(position * self._calendar.days) and day > 0:
            self._new_since = self._new_since or self._calendar.date(day)
            wrapped = stream(self._seed, "faults.drift", day).random(table.num_rows) < 0.3
            table = table.append_column(column, pa.array(np.where(wrapped, "yes", "no").tolist(), pa.string()))
        name, column, position = p.MISSING_COLUMN
        if source == name and self._missing_on is None and day >= int(position * self._calendar.days) and day > 0:
            self._missing_on = self._calendar.date(day)
            table = table.drop_columns([column])
        return table

    def plant(self, source: str, day: int, text: pa.Table, *, is_csv: bool) -> tuple[pa.Table, list[bytes]]:
        """Add broken copies of a few rows of a table of text, with new ids, and return malformed lines to append.

        Malformed lines are only in the first file of a source that is large enough, since such files are read line by line.
        """
        count = min(p.BAD_ROWS_PER_FILE, int(text.num_rows * p.BAD_ROW_RATE))
        if not count:
            return text, []
        contract = CONTRACT[source]
        rng = stream(self._seed, f"faults.{source}", day)
        originals = text.take(pa.array(np.sort(rng.choice(text.num_rows, count, replace=False)))).to_pylist()
        lines: list[bytes] = []
        if source not in self.planted:
            self.planted[source] = Counter()
            malformed = _malformed_csv if is_csv else _malformed_json
            for (reason, line), _ in zip(malformed(originals[0]), originals, strict=False):
                lines.append(line)
                self.planted[source][reason] += 1
        present = set(text.column_names)
        # A column that is missing on the day cannot be broken.
        faults = [fault for fault in cell_faults(contract) if present >= {name for name, _ in fault.cells}]
        copies = originals[len(lines) :]
        for number, row in enumerate(copies):
            fault = faults[self._turn[source] % len(faults)]
            self._turn[source] += 1
            key = contract.key[0]
            if contract.column(key).type is Type.ID:
                row[key] += f"-{number + 1}"
            row.update(fault.cells)
            self.planted[source][fault.reason] += 1
        return pa.concat_tables([text, pa.Table.from_pylist(copies, schema=text.schema)]), lines

    def truth(self) -> dict[str, object]:
        """Bad rows by source and reason."""
        return {source: dict(sorted(reasons.items())) for source, reasons in sorted(self.planted.items())}

    def drift_truth(self) -> dict[str, object]:
        """The added column and the one that was missing once, with their days; None when that did not happen."""

        def told(given: tuple[str, str, float], when: str, day: date | None) -> dict[str, str] | None:
            return None if day is None else {"source": given[0], "column": given[1], when: day.isoformat()}

        return {
            "new_column": told(p.NEW_COLUMN, "from", self._new_since),
            "missing_column": told(p.MISSING_COLUMN, "on", self._missing_on),
        }


def _malformed_csv(row: dict[str, str | None]) -> Iterator[tuple[str, bytes]]:
    cells = [value or "" for value in row.values()]
    yield f"malformed: {len(cells) + 1} cells instead of {len(cells)}", _csv_line([*cells, "one too many"])
    yield "malformed: not UTF-8", _NOT_UTF8 + _csv_line(["", *cells[1:]])
    # A quote that ends before its field does.
    yield "malformed: broken quote", b'"broken"quote' + _csv_line(["", *cells[1:]])


def _csv_line(cells: list[str]) -> bytes:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue().encode()


def _malformed_json(row: dict[str, str | None]) -> Iterator[tuple[str, bytes]]:
    whole = json.dumps({name: value for name, value in row.items() if value is not None}).encode()
    yield "malformed: not a JSON object", whole[: len(whole) // 2] + b"\n"
    yield "malformed: not UTF-8", whole.replace(b'"', b'"' + _NOT_UTF8, 1) + b"\n"
