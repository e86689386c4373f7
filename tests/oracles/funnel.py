"""Oracle of mart_funnel__entry: every chain of every person is looked at, and the one that the design names is taken.

Belongs here: chains, entry periods, rates, times, maturity of funnels. Does not belong here: who the persons are (`persons`),
what was known of them when they entered (`entrants`), or steps that are no event (`milestones`).
"""
# ruff: noqa: DTZ901 - timestamps of the lake are naive UTC

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any

from tests.oracles.delivery import delivery
from tests.oracles.entrants import Entrants
from tests.oracles.milestones import milestones
from tests.oracles.persons import Person, people
from tests.oracles.reporting import Facts, Reporting, Row

GRAINS = ("day", "week", "month", "all")
Key = tuple[str, str, date, str, str, int]


@dataclass(frozen=True)
class Step:
    """A step: an event by its core name or as it landed, and what else must hold of the landed row."""

    name: str
    event: str
    where: Callable[[Row], bool] = lambda _: True


@dataclass(frozen=True)
class FunnelSpec:
    """Steps in order, and seconds from the first within which the others count; None means no limit."""

    name: str
    steps: tuple[Step, ...]
    window_seconds: int | None


@dataclass(frozen=True)
class Moment:
    """Something a person did that may serve as steps (numbers from 0)."""

    moment_id: str
    at: datetime
    steps: frozenset[int]


@dataclass(frozen=True)
class Entry:
    """A start that counts, the day on which it was, and the times of the steps that followed, the start's own first."""

    person: Person
    day: date
    chain: tuple[datetime, ...]


def funnel_entries(
    facts: Facts, reporting: Reporting, funnels: Iterable[FunnelSpec], event_names: Mapping[str, str] | None = None
) -> dict[Key, dict[str, Any]]:
    """Rows of the mart by (funnel, entry_grain, entry_start, dimension, segment, step_number)."""
    entrants = Entrants(facts, reporting, event_names)
    rows: dict[Key, dict[str, Any]] = {}
    for funnel in funnels:
        known = known_steps(funnel, facts, reporting, event_names)
        rows |= _count(funnel, entries(funnel, facts, reporting, event_names), entrants, reporting, known)
    return rows


def known_steps(funnel: FunnelSpec, facts: Facts, reporting: Reporting, event_names: Mapping[str, str] | None = None) -> int:
    """How many steps there are before the first that nobody ever sent, or that nothing was delivered to compute from."""
    delivered = delivery(facts, reporting, event_names)
    needs = {"active_on_third_day": "events.event=value_achieved", "subscription_paid": "payments"}
    for number, step in enumerate(funnel.steps):
        names = {f"events.event={step.event}", f"events.landed_event={step.event}", needs.get(step.event)}
        if not names & delivered.keys():
            return number
    return len(funnel.steps)


def entries(funnel: FunnelSpec, facts: Facts, reporting: Reporting, event_names: Mapping[str, str] | None = None) -> list[Entry]:
    """Every start of every person with the chain that counts for it."""
    found = people(facts, reporting, event_names)
    moments: dict[str, list[Moment]] = defaultdict(list)
    for event in found.events:
        steps = frozenset(
            number
            for number, step in enumerate(funnel.steps)
            if step.event in (event.name, event.row["event"]) and step.where(event.row)
        )
        if steps and event.day <= reporting.data_through:
            moments[event.person_id].append(Moment(event.row["event_id"], event.at, steps))
    for person_id, name, at in milestones(facts, reporting, event_names):
        steps = frozenset(number for number, step in enumerate(funnel.steps) if step.event == name)
        is_counted = person_id in found.persons and not found.persons[person_id].is_internal
        if steps and is_counted and reporting.day(at) <= reporting.data_through:
            moments[person_id].append(Moment(name, at, steps))
    return [
        Entry(found.persons[person_id], reporting.day(chain[0]), chain)
        for person_id, done in moments.items()
        for chain in best_chains(done, len(funnel.steps), funnel.window_seconds)
    ]


def deepest(period: Iterable[Entry]) -> list[Entry]:
    """Of each person's entries in a period the one that counts: deepest, then ends earliest, then starts latest."""
    best: dict[str, tuple[Any, Entry]] = {}
    for entry in period:
        # Between what is left each step is taken as early as possible.
        rank = (-len(entry.chain), entry.chain[-1], datetime.max - entry.chain[0], entry.chain)
        person_id = entry.person.person_id
        if person_id not in best or rank < best[person_id][0]:
            best[person_id] = (rank, entry)
    return [entry for _, entry in best.values()]


def last_mature_day(window_seconds: int | None, reporting: Reporting) -> date | None:
    """The last day of entry whose window is over at the end of data_through; whole days are counted. None without a window."""
    return None if window_seconds is None else reporting.data_through - timedelta(days=math.ceil(window_seconds / 86_400))


def best_chains(moments: Sequence[Moment], depth: int, window_seconds: int | None) -> list[tuple[datetime, ...]]:
    """For every start the times of its deepest chain; of several the one that ends earliest, each step as early as can be.

    All chains are looked at: steps in order, times that do not fall, no moment used twice, none later than the window.
    """
    ordered = sorted(moments, key=lambda moment: (moment.at, moment.moment_id))
    candidates = {step: [number for number, moment in enumerate(ordered) if step in moment.steps] for step in range(depth)}

    def from_start(start: int) -> tuple[datetime, ...]:
        latest = ordered[start].at + timedelta(seconds=window_seconds) if window_seconds is not None else datetime.max

        @cache
        def tail(step: int, after: datetime, used: frozenset[int]) -> tuple[datetime, ...]:
            if step == depth:
                return ()
            return min(
                (
                    (ordered[number].at, *tail(step + 1, ordered[number].at, _relevant(used | {number}, step + 1)))
                    for number in candidates[step]
                    if after <= ordered[number].at <= latest and number not in used
                ),
                key=_rank,
                default=(),
            )

        @cache
        def _relevant(used: frozenset[int], step: int) -> frozenset[int]:
            return frozenset(number for number in used if max(ordered[number].steps) >= step)

        return (ordered[start].at, *tail(1, ordered[start].at, _relevant(frozenset({start}), 1)))

    return [from_start(start) for start in candidates[0]]


def quantile(values: Sequence[float], fraction: float) -> float:
    """Quantile with linear interpolation between the neighbours."""
    ordered = sorted(values)
    place = fraction * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def _rank(chain: tuple[datetime, ...]) -> Any:
    """Deeper first, then earlier ended, then each step earlier."""
    return (-len(chain), chain[-1] if chain else datetime.min, chain)


def _count(
    funnel: FunnelSpec, found: Sequence[Entry], entrants: Entrants, reporting: Reporting, known: int
) -> dict[Key, dict[str, Any]]:
    first_day = min((entry.day for entry in found), default=date.max)
    periods: dict[tuple[str, date], list[Entry]] = defaultdict(list)
    for entry in found:
        for grain in GRAINS:
            periods[grain, first_day if grain == "all" else reporting.period(grain, entry.day)].append(entry)
    groups: dict[tuple[str, date, str, str], list[tuple[datetime, ...]]] = defaultdict(list)
    for (grain, start), entered in periods.items():
        for entry in deepest(entered):
            for dimension, segment in entrants.segments(entry.person, entry.chain[0]):
                groups[grain, start, dimension, segment].append(entry.chain)
    return {
        (funnel.name, *group, number): _row(funnel, number, group[0], group[1], entered, reporting, known)
        for group, entered in groups.items()
        for number in range(1, len(funnel.steps) + 1)
    }


def _row(
    funnel: FunnelSpec,
    number: int,
    grain: str,
    start: date,
    chains: Sequence[tuple[datetime, ...]],
    reporting: Reporting,
    known: int,
) -> dict[str, Any]:
    reached = [chain for chain in chains if len(chain) >= number]
    previous = [chain for chain in chains if len(chain) >= number - 1] if number > 1 else None
    seconds = [(chain[number - 1] - chain[number - 2]) / timedelta(seconds=1) for chain in reached] if number > 1 else []
    is_known = number <= known
    conversion = len(reached) / len(previous) if previous and is_known else None
    return {
        "step": funnel.steps[number - 1].name,
        "entrant_count": len(chains),
        "person_count": len(reached) if is_known else None,
        "previous_count": None if previous is None or number > known + 1 else len(previous),
        "conversion_rate": conversion,
        "overall_rate": len(reached) / len(chains) if is_known else None,
        "drop_off_rate": None if conversion is None else 1 - conversion,
        "average_seconds_from_previous": math.fsum(seconds) / len(seconds) if seconds else None,
        "median_seconds_from_previous": quantile(seconds, 0.5) if seconds else None,
        "p90_seconds_from_previous": quantile(seconds, 0.9) if seconds else None,
        "is_mature": _is_mature(funnel.window_seconds, grain, start, reporting),
    }


def _is_mature(window_seconds: int | None, grain: str, start: date, reporting: Reporting) -> bool:
    """Whether the window of the last day on which one can enter is over."""
    last = reporting.data_through if grain == "all" else reporting.shift(grain, start, 1) - timedelta(days=1)
    mature = last_mature_day(window_seconds, reporting)
    return mature is not None and last <= mature
