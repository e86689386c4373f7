"""What the oracles share about time: the reporting calendar, and the shape of their input.

Belongs here: days, weeks and months of the reporting time zone. Does not belong here: persons, channels, money. Nothing in
`tests/oracles` reads or imitates the SQL: each oracle is written from the design, row by row, for clarity instead of speed.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

Row = Mapping[str, Any]
Facts = Mapping[str, Sequence[Row]]
"""Landed rows by source: dicts of the contract's and the lake's columns; an absent column is NULL."""


class Arrival(NamedTuple):
    """Rows of one source and arrival day, each counted where they lie."""

    landed: int
    lake: int
    quarantined: int = 0


Arrivals = Mapping[tuple[str, date], Arrival]
"""Rows by source and arrival day."""


def arrivals_of(facts: Facts, quarantined: Mapping[tuple[str, date], int] | None = None) -> dict[tuple[str, date], Arrival]:
    """What arrived by source and day when nothing is lost: the landed rows, and so many more that went into quarantine."""
    refused = quarantined or {}
    lake = Counter((source, row["arrived_date"]) for source, rows in facts.items() for row in rows)
    return {key: Arrival(lake[key] + refused.get(key, 0), lake[key], refused.get(key, 0)) for key in lake.keys() | refused.keys()}


@dataclass(frozen=True)
class Reporting:
    """The configuration that published figures depend on, and the last complete arrival day."""

    timezone: ZoneInfo
    data_through: date
    currency: str = "USD"
    week_start: str = "monday"
    gross_margin: Decimal = Decimal("0.8")
    bot_events_per_day: int = 3000
    denied_ids: frozenset[str] = frozenset({"null", "0"})
    ignored_referrers: frozenset[str] = frozenset()
    max_identity_links: int = 20
    session_gap: timedelta = timedelta(minutes=30)
    sessions_end_at_midnight: bool = False

    def day(self, at: datetime) -> date:
        """Calendar day of a naive UTC timestamp."""
        return at.replace(tzinfo=UTC).astimezone(self.timezone).date()

    def period(self, grain: str, day: date) -> date:
        """First day of the day's, week's or month's period."""
        if grain == "day":
            return day
        if grain == "month":
            return day.replace(day=1)
        first = {"monday": 0, "sunday": 6}[self.week_start]
        return day - timedelta(days=(day.weekday() - first) % 7)

    def shift(self, grain: str, start: date, periods: int) -> date:
        """First day of the period so many periods later."""
        if grain == "month":
            months = start.year * 12 + start.month - 1 + periods
            return date(months // 12, months % 12 + 1, 1)
        return start + timedelta(days=periods * {"day": 1, "week": 7}[grain])

    def index(self, grain: str, start: date, day: date) -> int:
        """How many periods after the period that starts on `start` a day lies."""
        count = 0
        while self.shift(grain, start, count + 1) <= day:
            count += 1
        while self.shift(grain, start, count) > day:
            count -= 1
        return count
