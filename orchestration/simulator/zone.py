"""The simulated landing zone: one pass over the arrival days writes it, with the truth beside it.

Belongs here: arguments, formats, faults, the truth file. Does not belong here: the company's behaviour and its truth
(`company`).
"""

import json
import shutil
from collections import Counter
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pyarrow as pa

from orchestration.base.errors import UserError
from orchestration.simulator.clock import Calendar
from orchestration.simulator.company import Company
from orchestration.simulator.faults import Faults
from orchestration.simulator.files import as_text, write_csv, write_jsonl, write_parquet

_MAXIMUM_DAYS = 3_650
# All formats are written: one arrival day in seven is text, some sources always are, and so are the rows from before.
_CSV_WEEKDAY = 2
_ALWAYS_CSV = frozenset({"ad_spend", "erasures"})
_ALWAYS_JSONL = frozenset({"payments", "surveys", "feedback"})


@dataclass(frozen=True)
class Summary:
    """Totals written: rows per source, number of `<source>/dt=…` folders, and the first and the last arrival day."""

    rows: dict[str, int]
    partitions: int
    first_day: date
    last_day: date


def simulate(
    out: Path,
    *,
    days: int = 120,
    users: int = 2_000,
    seed: int = 7,
    end: date,
    timezone: str = "Asia/Shanghai",
    constant_churn: float | None = None,
) -> Summary:
    """Write the landing zone of a simulated company to `out`, and the planted truth to `out/truth.json`.

    days: arrival days, the last of which is `end`. users: approximate number of persons who sign up in that time; there are
    about nine times as many visitors, plus earlier customers. The same arguments give the same bytes. `truth.json` is written
    last.
    constant_churn: probability that a paying account leaves within 30 days, the same for all accounts and days, replacing the
    planted hazards; no account is canceled for refused payments. Landed data then cannot predict who leaves.

    Raises:
        UserError: an argument is out of range, or `out` is a file or holds anything already.

    """
    _check(out, days, users, seed, end, timezone, constant_churn)
    draft = out / DRAFT
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        summary = _Writer(draft, Calendar(end, days, timezone), users, seed, timezone, constant_churn).write()
    except BaseException:
        shutil.rmtree(draft)
        raise
    # An incomplete landing zone looks like a complete one: everything is written beside it and then renamed.
    for entry in sorted(draft.iterdir()):
        entry.rename(out / entry.name)
    draft.rmdir()
    return summary


def is_empty(zone: Path) -> bool:
    """Whether a folder is empty, ignoring leftovers of a killed simulation."""
    return not zone.is_dir() or (zone / DRAFT).is_dir() or not any(zone.iterdir())


DRAFT = ".simulating"
"""The folder of a landing zone in which a simulation is under way, or was when it was killed; ingest does not look there."""


def _check(out: Path, days: int, users: int, seed: int, end: date, timezone: str, constant_churn: float | None) -> None:
    if not 1 <= days <= _MAXIMUM_DAYS:
        raise UserError(f"days must lie between 1 and {_MAXIMUM_DAYS}, not {days}")
    if users < 1:
        raise UserError(f"users must be at least 1, not {users}")
    if seed < 0:
        raise UserError(f"seed must not be negative: {seed}")
    if not 2000 <= end.year <= 2100:
        raise UserError(f"end must lie between the years 2000 and 2100, not on {end.isoformat()}")
    try:
        ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UserError(f"unknown time zone: {timezone!r} (expected an IANA name such as Asia/Shanghai)") from None
    if constant_churn is not None and not 0 <= constant_churn < 1:
        raise UserError(f"constant churn must be a probability, 0 or more and below 1, not {constant_churn}")
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file; the simulated landing zone needs a folder")
    if not is_empty(out):
        raise UserError(f"{out} already holds data; the simulated landing zone needs an empty or new folder")


class _Writer:
    def __init__(self, out: Path, calendar: Calendar, users: int, seed: int, timezone: str, constant_churn: float | None) -> None:
        self._out, self._calendar = out, calendar
        self._rows: Counter[str] = Counter()
        self._partitions = 0
        self._company = Company(calendar, users, seed, timezone, constant_churn)
        self._faults = Faults(calendar, seed)

    def write(self) -> Summary:
        company = self._company
        company.found()
        for day in range(self._calendar.days):
            for source, table in company.live(day):
                self._land(source, day, table)
        truth = {**company.truth(), "rows": dict(sorted(self._rows.items()))}
        truth |= {"bad_rows": self._faults.truth(), "schema_drift": self._faults.drift_truth()}
        (self._out / "truth.json").write_text(json.dumps(truth, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        last = self._calendar.date(self._calendar.days - 1)
        return Summary(dict(sorted(self._rows.items())), self._partitions, self._calendar.first, last)

    def _land(self, source: str, day: int, table: pa.Table) -> None:
        folder = self._out / source / f"dt={self._calendar.date(day).isoformat()}"
        table = self._faults.drift(source, day, table)
        if source in _ALWAYS_JSONL:
            text, behind = self._faults.plant(source, day, as_text(table, zone="Z"), is_csv=False)
            write_jsonl(text, folder, behind)
            rows = text.num_rows + len(behind)
        elif source in _ALWAYS_CSV or day == 0 or self._calendar.date(day).weekday() == _CSV_WEEKDAY:
            text, behind = self._faults.plant(source, day, as_text(table), is_csv=True)
            write_csv(text, folder, behind)
            rows = text.num_rows + len(behind)
        else:
            write_parquet(table, folder)
            rows = table.num_rows
        self._rows[source] += rows
        self._partitions += 1
