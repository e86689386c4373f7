"""Records of text files with malformed lines, which DuckDB cannot read: a malformed line is refused alone, the others are kept.

Belongs here: splitting lines into cells, in Python and line by line. Does not belong here: files without malformed rows, which
DuckDB reads (`readers`); both give the same result for a row.
"""

import itertools
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

Record = tuple[Sequence[str | None], str | None, str | None]
"""Cells, and for a malformed line the reason and the line itself."""


TolerantReader = Callable[[Iterable[str], int, str], Iterator[Record]]
"""A tolerant reader: lines, the number of columns and what separates them in, one record per row out."""


def _refused(line: str, width: int, why: str) -> Record:
    try:
        line.encode()
    except UnicodeEncodeError:
        line, why = line.encode(errors="surrogateescape").decode(errors="backslashreplace"), "not UTF-8"
    return [None] * width, f"malformed: {why}", line.rstrip("\r\n")


def csv_records(lines: Iterable[str], width: int, delimiter: str) -> Iterator[Record]:
    """Yield the records of a CSV file with malformed lines, without the header."""
    for record, cells, why in itertools.islice(csv_lines(lines, delimiter), 1, None):
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


def csv_lines(lines: Iterable[str], delimiter: str) -> Iterator[tuple[str, list[str] | None, str]]:
    """Yield the text of each record with its cells, or None and the fault; a record with a broken quote ends with its line."""
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
            # A cell is open; the next line with a quote may close it.
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
                # Open if every quote after the opening one is doubled.
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
    """Take lines up to and including the next one with a quote, or all remaining lines."""
    taken = []
    for line in _drained(waiting, source):
        taken.append(line)
        if '"' in line:
            break
    return taken


def json_records(lines: Iterable[str], width: int, _: str) -> Iterator[Record]:
    """Yield the lines of a file of JSON lines, without blank ones; all are checked to be JSON later, in one statement."""
    for line in lines:
        if line.strip():
            record = _refused(line, width, "")
            yield record if record[1] == "malformed: not UTF-8" else ([line.rstrip("\r\n")], None, None)


def _drained(waiting: deque[str], source: Iterator[str]) -> Iterator[str]:
    """Yield lines that were put back, then those of the source; more may be put back meanwhile."""
    while True:
        if waiting:
            yield waiting.popleft()
        elif (line := next(source, None)) is not None:
            yield line
        else:
            return
