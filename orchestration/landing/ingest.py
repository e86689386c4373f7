"""Ingest: landed files in any form that the contract allows become partitions of the lake, refused rows go to quarantine.

Belongs here: ingesting the arrival days of one source, batch by batch. Does not belong here: finding landed files (`arrivals`),
inspecting them (`files`), their rows (`readers`, `records`), cells (`cells`) and verdicts (`judging`), the contract
(`contract`), erased persons (`erasure`), the layout of the lake (`lake`, `copying`), outside shapes (`adapters`), duplicates and
meaning (`dbt_project`).

Every cell is judged as text (except Parquet columns that already have the contract's type), so that a fact gives the same row
of the lake from every format, and a bad cell is a reason for quarantine, never an exception:

- Cells are trimmed of white space, Unicode's included, and lose NUL characters; an empty cell is NULL. Timestamps are ISO 8601
  with or without an offset (none: UTC); the offset may follow a space or be written as `UTC`. A day without a time is its
  midnight, fractions below a microsecond are cut off, epoch numbers are refused.
- Times must lie between `partition_start` and the end of the day after the arrival day, or 2199 in columns that may lie ahead.
- Decimals with more places than the contract's type are rounded, halves away from zero, before bounds are checked.
- Integers may have a fraction of zeros (a spreadsheet's `3.0`). An id stored as a number, in Parquet or JSON, loses such a
  fraction; an id stored as text is kept unchanged. Currency codes are upper-cased. Booleans are true, false, t, f, 1, 0 in any
  case. JSON must be an object and is stored without white space.
- Blank lines are skipped. A line that cannot be split into cells, is not a JSON object or is not UTF-8 is refused alone.
- A CSV cell may have any length and number of lines. It is quoted if its first character after spaces is a quote; only spaces
  may follow the closing quote. Elsewhere a quote is an ordinary character. Empty cells beyond the header's are dropped.
  DuckDB reads files without malformed rows, `csv_records` all others; both give the same result for a row.
- Compressed files are unpacked first, which verifies their checksums.

Many partitions are read in one scan: for each batch, one DuckDB statement per format and header reads the rows, one judges
them, and `copying` writes many small partitions by one statement, larger ones by one each.
"""

import tempfile
from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb

from orchestration.base.errors import NorthstarError, UserError
from orchestration.landing import erasure
from orchestration.landing.arrivals import PREFIX, batches, identity, landed_files, nearest_or_all
from orchestration.landing.contract import CONTRACT
from orchestration.landing.files import InspectedFile, Inspection
from orchestration.landing.judging import Judge
from orchestration.landing.lake import SPILL_PREFIX, Lake, LandedFile, Partition
from orchestration.landing.readers import Readers
from orchestration.landing.source import Source


class IngestError(NorthstarError):
    """Refused partitions, each with file and cause; `entered`: the partitions of the same call that are in the lake."""

    def __init__(self, source: str, failed: dict[date, str], entered: Sequence[Partition]) -> None:
        self.source, self.failed, self.entered = source, failed, tuple(entered)
        lines = "".join(f"\n  {PREFIX}{day}: {cause}" for day, cause in sorted(failed.items()))
        count = "1 partition was" if len(failed) == 1 else f"{len(failed)} partitions were"
        super().__init__(f"{source}: {count} refused and nothing of it entered the lake:{lines}")


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
    """Ingest exactly these arrival days of one source, replacing their partitions in the lake, and return them, oldest first.

    timezone: the reporting time zone, which defines arrival days and the days of the event histogram.
    max_quarantine_ratio: the share of one file's rows, from 0 to 1, above which its partition is refused.
    partition_start: the first day, in the reporting time zone, on which a fact may have happened; earlier ones are refused.
    ledger: the erasures in force. The source `erasures`, which must be ingested first, adds its requests to it.
    memory_limit: DuckDB's, such as "2GB"; above it, work spills to a temporary folder below the lake's root.

    IngestError when partitions were refused (an arrival day in the future, no landed file, an unreadable file, a missing
    required column, a duplicate column, too many bad rows); the other partitions of the call are then in the lake. UserError
    for an unknown source or time zone.
    """
    if source not in CONTRACT:
        raise UserError(f"unknown source {source!r}; {nearest_or_all(source, CONTRACT)}")
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
            folder = landing / source / f"{PREFIX}{day}"
            failed[day] = (
                f"{folder} names a day in the future (today is {today}, {timezone}); rename it to the day on which it arrived"
            )
        elif files := landed_files(landing, source, day):
            waiting[day] = files
        else:
            failed[day] = f"no file has landed in {landing / source / f'{PREFIX}{day}'}"
    with lake.connect(memory_limit) as connection:
        for batch in batches(waiting):
            run = _Batch(connection, CONTRACT[source], zone, max_quarantine_ratio, partition_start, ledger)
            with tempfile.TemporaryDirectory(prefix=SPILL_PREFIX, dir=lake.root) as scratch:
                entered += run.ingest(batch, lake, Path(scratch))
            failed |= run.failed
    if failed:
        raise IngestError(source, failed, entered)
    return entered


class _Batch:
    """Partitions of one source, read, judged and written together on one connection."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        source: Source,
        zone: ZoneInfo,
        max_ratio: float,
        start: date,
        ledger: erasure.Ledger | None,
    ) -> None:
        self.connection, self.source, self.ledger, self.max_ratio = connection, source, ledger, max_ratio
        self.inspection = Inspection(source)
        self.judge = Judge(connection, source, zone, start)

    @property
    def failed(self) -> dict[date, str]:
        """Refused arrival days, each with file and cause."""
        return self.inspection.failed

    def ingest(self, batch: dict[date, list[Path]], lake: Lake, scratch: Path) -> list[Partition]:
        """Read, judge and write; `failed` then names the refused days. Compressed files are unpacked into `scratch`."""
        lake.prepare(self.connection, self.source)
        files = [file for day, paths in batch.items() for path in paths if (file := self.inspection.inspect(path, day, scratch))]
        Readers(self.connection, self.inspection, self.judge).read(files)
        landed_files = self._count(files)
        reasons = self.judge.reasons()
        happened = self.judge.happened()
        days = [day for day in batch if day not in self.failed]
        if self.failed:
            self.connection.execute("DELETE FROM judged WHERE day IN (SELECT unnest(?::DATE[]))", [list(self.failed)])
        erasure.enter(self.connection, lake, self.source, self.ledger)
        partitions = [self._partition(day, landed_files[day], reasons.get(day, {}), happened.get(day, {})) for day in days]
        return lake.write(self.connection, partitions)

    def _count(self, files: list[InspectedFile]) -> dict[date, list[LandedFile]]:
        """Landed files with their counts, by day; a file above the quarantine ratio makes its partition fail."""
        counts = self.judge.counts()
        result: dict[date, list[LandedFile]] = defaultdict(list)
        for file in files:
            rows, refused, bad = counts.get((file.day, file.path.name), (0, 0, 0))
            if bad > self.max_ratio * rows and file.day not in self.failed:
                self.inspection.fail(
                    file, f"{bad} of {rows} rows are bad, more than {self.max_ratio:.2%}: {self.judge.why(file)}"
                )
            if not file.path.exists() or identity(file.path)[1:] != (file.size, file.mtime_ns):
                self.inspection.fail(file, "it changed while it was read")
            result[file.day].append(
                LandedFile(file.path.name, file.size, file.mtime_ns, file.sha256, rows, rows - refused, refused)
            )
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
            unknown_columns=tuple(sorted(self.inspection.unknown[day])),
            missing_columns=tuple(column.name for column in self.source.columns if column.name in self.inspection.missing[day]),
            reasons=reasons,
            happened=happened,
        )
