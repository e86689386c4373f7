"""Tables of codes, and those of their rows that happen on one day and land on another.

Belongs here: what every source does with its rows before they are encoded. Does not belong here: what the rows say, columns and
files (`files`).
"""

from collections import defaultdict

import numpy as np

from orchestration.simulator import parameters as p
from orchestration.simulator.clock import DAY, Calendar, Ints, Mask, stream

Rows = dict[str, Ints]
"""Equally long columns by name; one of them is `at`, the instant at which the fact happened."""


def concat(parts: list[Rows]) -> Rows:
    """Rows one under the other; at least one part."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def select(table: Rows, where: Ints | Mask) -> Rows:
    """Rows by position or mask."""
    return {name: values[where] for name, values in table.items()}


def by_time(*parts: Rows) -> Rows:
    """All rows of at least one part, ordered by time."""
    table = concat(list(parts))
    return select(table, np.argsort(table["at"], kind="stable"))


def day_slice(table: Rows, calendar: Calendar, day: int) -> Rows:
    """Rows of a day, in a table that is ordered by time; day 0 has those from before, too."""
    start, end = calendar.start(np.array([day, day + 1]))
    first = 0 if day == 0 else int(np.searchsorted(table["at"], start))
    return select(table, np.arange(first, int(np.searchsorted(table["at"], end))))


def day_number(calendar: Calendar, day: int) -> int:
    """First of ten million numbers that are the day's own, so that ids do not depend on how many there were before."""
    date = calendar.date(day)
    return (date.year * 10_000 + date.month * 100 + date.day) * 10_000_000


class Post:
    """Holds rows that are under way, and no others: its size follows the longest delay, not the number of days."""

    def __init__(self, calendar: Calendar) -> None:
        self._calendar = calendar
        self._under_way: defaultdict[int, list[Rows]] = defaultdict(list)

    def send(self, table: Rows, arrives: Ints, day: int) -> None:
        """Let rows arrive on the days in which the given instants lie, those of the past on `day`, at the earliest on day 0."""
        arrival = np.maximum(self._calendar.day_of(arrives), max(day, 0))
        for later in np.unique(arrival).tolist():
            self._under_way[later].append(select(table, arrival == later))

    def receive(self, day: int) -> Rows | None:
        """Give what arrives on the day, ordered by time; None when that is nothing."""
        arrived = self._under_way.pop(day, [])
        return by_time(*arrived) if arrived else None

    @property
    def waiting(self) -> int:
        """Rows that have not arrived."""
        return sum(len(part["at"]) for parts in self._under_way.values() for part in parts)


class LaterStates:
    """Later states of rows that landed before; now and then the state before one of them is exported once more, the day after."""

    def __init__(self, calendar: Calendar, seed: int, name: str) -> None:
        self._seed, self._name = seed, name
        self._under_way = Post(calendar)

    def add(self, before: Rows, after: Rows, day: int) -> None:
        """Let rows land anew when their later state is written; both tables have the same rows, and `updated` is that time."""
        count = len(after["at"])
        if not count:
            return
        stale = stream(self._seed, f"{self._name}.stale", day).random(count) < p.STALE_STATE_RATE
        self._under_way.send(after, after["updated"], day)
        self._under_way.send(select(before, stale), after["updated"][stale] + DAY, day)

    def behind(self, landed: Rows | None, day: int) -> Rows | None:
        """Give the rows that land for the first time and behind them those that land anew; None when there is neither."""
        parts = [part for part in (landed, self._under_way.receive(day)) if part is not None]
        return concat(parts) if parts else None


class Records:
    """Rows of one source as they are written; a few arrive much later, the rest on the day on which they happened."""

    def __init__(self, calendar: Calendar, seed: int, name: str) -> None:
        self._calendar, self._seed, self._name = calendar, seed, name
        self._written: list[Rows] = []
        self._under_way = Post(calendar)

    def add(self, table: Rows) -> None:
        """Write rows; those of a later day arrive on it."""
        self._written.append(table)

    def arrive(self, day: int) -> Rows | None:
        """Give what arrives on the day, ordered by time, with `late` for what is late; None when that is nothing."""
        if self._written:
            written, self._written = by_time(*self._written), []
            delays = self._delays(day, written["at"])
            self._under_way.send({**written, "late": (delays > 0).astype(np.int64)}, written["at"] + delays, day)
        return self._under_way.receive(day)

    def _delays(self, day: int, at: Ints) -> Ints:
        rng = stream(self._seed, f"{self._name}.late", day)
        # What is from before the first day lands with it.
        late = (rng.random(len(at)) < p.LATE_RECORD_RATE) & (at >= int(self._calendar.start(0)))
        return np.where(late, np.exp(rng.uniform(0, np.log(p.LATEST_DAYS), len(at))) * DAY, 0).astype(np.int64)

    @property
    def waiting(self) -> int:
        """Rows that have not arrived."""
        return self._under_way.waiting
