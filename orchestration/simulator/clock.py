"""The simulated calendar and its random streams.

Belongs here: days of the reporting time zone as UTC microseconds, seasons, and the named random streams. Does not belong here:
events on those days.
"""

import zlib
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from orchestration.simulator import parameters as p

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
NEVER = 2**62
NEVER_DAY = 1_000_000

# Earlier customers reach back a year before the period, exchange rates a little further.
HISTORY_DAYS = 400
_TAIL_DAYS = 200


def stream(seed: int, name: str, day: int = 0) -> np.random.Generator:
    """Return a generator that depends only on the seed, its name and the day, so that a new stream changes no other."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, zlib.crc32(name.encode()), day + HISTORY_DAYS])))


class Calendar:
    """Days are counted from the first arrival day (0) to the last (`days` − 1); earlier ones are negative."""

    def __init__(self, end: date, days: int, timezone: str) -> None:
        zone = ZoneInfo(timezone)
        self.days = days
        self.first = end - timedelta(days=days - 1)
        self._starts: Ints = np.array(
            [
                int(datetime.combine(self.date(day), time(), zone).timestamp()) * SECOND
                for day in range(-HISTORY_DAYS, days + _TAIL_DAYS)
            ],
            dtype=np.int64,
        )
        # Aligned to whole days so that truth and data agree.
        bad = int(days * p.BAD_WEEK_POSITION)
        self.bad_week: tuple[int, int] | None = (bad, bad + 7) if days >= p.BAD_WEEK_MINIMUM_DAYS else None

    @property
    def experiment_window(self) -> tuple[int, int]:
        """Instants at which experiments begin and end; whole days, at least one."""
        first, last = (int(self.days * share) for share in p.EXPERIMENT_PERIOD)
        begins, ends = self.start(np.array([first, max(last, first + 1)])).tolist()
        return begins, ends

    def date(self, day: int) -> date:
        """Return the date of a day."""
        return self.first + timedelta(days=day)

    def start(self, day: int | Ints) -> Ints:
        """UTC microseconds at which days begin; days beyond the calendar count as its last."""
        return np.asarray(self._starts[np.minimum(np.asarray(day) + HISTORY_DAYS, len(self._starts) - 1)])

    def day_of(self, at: Ints) -> Ints:
        """Return the day of each instant."""
        return np.searchsorted(self._starts, at, side="right").astype(np.int64) - 1 - HISTORY_DAYS

    def season(self, day: int, week: tuple[float, ...]) -> float:
        """Weekly and yearly season of a day, about 1 on average."""
        today = self.date(day)
        angle = 2 * np.pi * (today.timetuple().tm_yday - p.YEAR_PEAK_DAY) / 365.25
        return float(week[today.weekday()] * (1 + p.YEAR_AMPLITUDE * np.cos(angle)))

    def is_bad(self, day: int) -> bool:
        """Whether the day lies in the bad week."""
        return self.bad_week is not None and self.bad_week[0] <= day < self.bad_week[1]

    def visit_weights(self, week: tuple[float, ...]) -> Floats:
        """Shares of the period's visits by day: season, growth and the bad week; they sum to 1."""
        weights = np.array(
            [
                self.season(day, week) * (1 + p.VISITOR_GROWTH_30D) ** (day / 30) * (p.BAD_WEEK_VISITS if self.is_bad(day) else 1)
                for day in range(self.days)
            ]
        )
        return np.asarray(weights / weights.sum())
