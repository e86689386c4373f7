"""Tables of codes, and rows that happen on one day and land on another.

Belongs here: operations on rows before they are encoded, shared by all sources. Does not belong here: the contents of rows,
columns and files (`files`).
"""

from collections import defaultdict

import numpy as np

from orchestration.simulator import parameters as p
from orchestration.simulator.clock import DAY, Calendar, Ints, Mask, stream

Rows = dict[str, Ints]
"""Equally long columns by name; one of them is `at`, the instant at which the fact happened."""


def concat(parts: list[Rows]) -> Rows:
    """Concatenate at least one table."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def select(table: Rows, where: Ints | Mask) -> Rows:
    """Rows by position or mask."""
    return {name: values[where] for name, values in table.items()}


def by_time(*parts: Rows) -> Rows:
    """All rows of at least one part, ordered by time."""
    table = concat(list(parts))
    return select(table, np.argsort(table["at"], kind="stable"))


def day_slice(table: Rows, calendar: Calendar, day: int) -> Rows:
    """Rows of a day in a table ordered by time; day 0 includes earlier rows."""
    start, end = calendar.start(np.array([day, day + 1]))
    first = 0 if day == 0 else int(np.searchsorted(table["at"], start))
    return select(table, np.arange(first, int(np.searchsorted(table["at"], end))))


def day_number(calendar: Calendar, day: int) -> int:
    """First of ten million numbers reserved for the day, so that ids do not depend on earlier counts."""
    date = calendar.date(day)
    return (date.year * 10_000 + date.month * 100 + date.day) * 10_000_000


class Post:
    """Holds only rows that have not arrived: its size depends on the longest delay, not on the number of days."""

    def __init__(self, calendar: Calendar) -> None:
        self._calendar = calendar
        self._under_way: defaultdict[int, list[Rows]] = defaultdict(list)

    def send(self, table: Rows, arrives: Ints, day: int) -> None:
        """Schedule rows to arrive on the days of the given instants, but not before `day` or day 0."""
        arrival = np.maximum(self._calendar.day_of(arrives), max(day, 0))
        for later in np.unique(arrival).tolist():
            self._under_way[later].append(select(table, arrival == later))

    def receive(self, day: int) -> Rows | None:
        """Return the day's arrivals, ordered by time; None without any."""
        arrived = self._under_way.pop(day, [])
        return by_time(*arrived) if arrived else None

    @property
    def waiting(self) -> int:
        """Rows that have not arrived."""
        return sum(len(part["at"]) for parts in self._under_way.values() for part in parts)


class LaterStates:
    """Later states of rows that have landed; sometimes the previous state is exported once more, the day after."""

    def __init__(self, calendar: Calendar, seed: int, name: str) -> None:
        self._seed, self._name = seed, name
        self._under_way = Post(calendar)

    def add(self, before: Rows, after: Rows, day: int) -> None:
        """Let rows land again when their later state is written, at `updated`; both tables have the same rows."""
        count = len(after["at"])
        if not count:
            return
        stale = stream(self._seed, f"{self._name}.stale", day).random(count) < p.STALE_STATE_RATE
        self._under_way.send(after, after["updated"], day)
        self._under_way.send(select(before, stale), after["updated"][stale] + DAY, day)

    def behind(self, landed: Rows | None, day: int) -> Rows | None:
        """Return the rows that land for the first time, followed by those that land again; None without any."""
        parts = [part for part in (landed, self._under_way.receive(day)) if part is not None]
        return concat(parts) if parts else None


class Records:
    """Rows of one source as they are written; a few arrive much later, the rest on the day of the fact."""

    def __init__(self, calendar: Calendar, seed: int, name: str) -> None:
        self._calendar, self._seed, self._name = calendar, seed, name
        self._written: list[Rows] = []
        self._under_way = Post(calendar)

    def add(self, table: Rows) -> None:
        """Write rows; those of a later day arrive on it."""
        self._written.append(table)

    def arrive(self, day: int) -> Rows | None:
        """Return the day's arrivals, ordered by time, with a flag `late`; None without any."""
        if self._written:
            written, self._written = by_time(*self._written), []
            delays = self._delays(day, written["at"])
            self._under_way.send({**written, "late": (delays > 0).astype(np.int64)}, written["at"] + delays, day)
        return self._under_way.receive(day)

    def _delays(self, day: int, at: Ints) -> Ints:
        rng = stream(self._seed, f"{self._name}.late", day)
        # Rows from before the first day land with it.
        late = (rng.random(len(at)) < p.LATE_RECORD_RATE) & (at >= int(self._calendar.start(0)))
        return np.where(late, np.exp(rng.uniform(0, np.log(p.LATEST_DAYS), len(at))) * DAY, 0).astype(np.int64)

    @property
    def waiting(self) -> int:
        """Rows that have not arrived."""
        return self._under_way.waiting
