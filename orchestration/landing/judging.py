"""Judging: accepted rows, and the reasons for refusing the others.

Belongs here: the bounds of the contract as SQL, verdicts and their counts. Does not belong here: parsing cells (`cells`),
reading (`readers`), or the contract itself (`contract`).
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import duckdb

from orchestration.base.sql import identifier, literal
from orchestration.landing.cells import Cell, json_object, trimmed
from orchestration.landing.files import InspectedFile
from orchestration.landing.lake import Partition
from orchestration.landing.source import Column, Source, Type
from orchestration.landing.spellings import canonical
from orchestration.landing.vocabulary import CURRENCIES, MISTAKEN_CURRENCIES

_SHOWN = 40  # characters of a refused value in a message
BEFORE = ": before partition_start"

NOUNS = {
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


def out_of_scope(partition: Partition) -> int:
    """Rows of a partition that were refused because they happened before `partition_start`."""
    return sum(rows for reason, rows in partition.reasons.items() if BEFORE in reason)


class Judge:
    """Judges rows of one source on one connection and appends them to the table `judged`, made by `Lake.prepare`.

    start: the first day, in the reporting time zone, on which a fact may have happened.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, source: Source, zone: ZoneInfo, start: date) -> None:
        self.connection, self.source, self.zone, self.start = connection, source, zone, start

    def judge(self, scan: str, group: list[InspectedFile], cells: "dict[str, Cell]", raw: str) -> None:
        """Append the rows of `scan` (path, n, …) to `judged`, with values in the contract's types and the faults found."""
        tolerant = "malformed" in {row[0] for row in self.connection.execute(f"DESCRIBE {scan}").fetchall()}
        columns = self.source.columns
        present = [cells.get(column.name, Cell("NULL::VARCHAR")) for column in columns]
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
            pairs = ((name, trimmed(text)) for name, text in unknown)
            extra = f"nullif(json_merge_patch('{{}}', {json_object(pairs)})::VARCHAR, '{{}}')::JSON"
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

    def withdraw(self, group: list[InspectedFile]) -> None:
        """Remove the rows of these files from `judged`."""
        files = ", ".join(f"(DATE '{file.day}', {literal(file.path.name)})" for file in group)
        self.connection.execute(f"DELETE FROM judged WHERE (day, file) IN (VALUES {files})")

    def _faults(self, i: int, column: Column) -> Iterator[tuple[str, str]]:  # noqa: C901, PLR0912 (one branch per rule of the contract)
        """Yield conditions over text t<i> and value v<i> of a column, each with its reason; NULL counts as false."""
        name, text, value = column.name, f"t{i}", f"v{i}"
        if column.required:
            yield f"{text} IS NULL", f"{name}: missing"
        if column.type in NOUNS:
            yield f"{text} IS NOT NULL AND {value} IS NULL", f"{name}: not {NOUNS[column.type]}"
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
            yield f"{value} < '{self._instant(self.start)}'", f"{name}{BEFORE}"
        if column.type is Type.DATE:
            yield f"{value} < '{self.start}'", f"{name}{BEFORE}"
        if column.may_lie_ahead:
            yield f"{value} >= '2200-01-01'", f"{name}: after 2199"
        elif column.type is Type.TIMESTAMP:
            yield f"{value} >= latest", f"{name}: in the future of its arrival"
        elif column.type is Type.DATE:
            yield f"{value} > day + 1", f"{name}: in the future of its arrival"

    def _register_files(self, group: list[InspectedFile]) -> None:
        """Create table `files`: path, name, day, and the instant (UTC) after which a fact would lie in the future."""
        self.connection.execute("CREATE OR REPLACE TABLE files (path VARCHAR, name VARCHAR, day DATE, latest TIMESTAMP)")
        rows = ", ".join(
            f"({literal(str(file.plain))}, {literal(file.path.name)}, DATE '{file.day}', TIMESTAMP '{self._latest(file.day)}')"
            for file in group
        )
        self.connection.execute(f"INSERT INTO files VALUES {rows}")

    def _latest(self, day: date) -> str:
        """Return the end of the day after an arrival day, UTC: clocks of sources run ahead by hours, rarely by days."""
        return self._instant(day + timedelta(days=2))

    def _instant(self, day: date) -> str:
        """Return the first instant of a local day, UTC."""
        return datetime.combine(day, time(), tzinfo=self.zone).astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ")

    def counts(self) -> dict[tuple[date, str], tuple[int, int, int]]:
        """Rows, refused rows, and bad rows by arrival day and file.

        A fact from before `start` is out of scope and says nothing about the quality of its file: the row is refused, but does
        not count as bad.
        """
        is_bad = f"len(list_filter(reasons, reason -> NOT contains(reason, {literal(BEFORE)}))) > 0"
        counted = self.connection.execute(
            f"SELECT day, file, count(*), count(reasons), count(*) FILTER ({is_bad}) FROM judged GROUP BY ALL"
        ).fetchall()
        return {(day, name): (rows, refused, bad) for day, name, rows, refused, bad in counted}

    def reasons(self) -> dict[date, dict[str, int]]:
        """Refused rows by arrival day and reason."""
        return self._nested("SELECT day, reason, count(*) FROM (SELECT day, unnest(reasons) AS reason FROM judged) GROUP BY ALL")

    def happened(self) -> dict[date, dict[str, int]]:
        """Accepted rows by arrival day and the day on which they happened."""
        return self._nested(self._happened_sql())

    def why(self, file: InspectedFile) -> str:
        """Most frequent reasons of a file's refused rows, each with its first row."""
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
        """Return the refused value, shortened; empty for ids and personal columns."""
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
        # Converting an instant to a local day is expensive and all offsets are multiples of 15 minutes: convert quarter hours.
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
