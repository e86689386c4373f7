"""Who did what: landed rows to unique facts, visitors to persons, first touches to channels and segments.

Belongs here: what the funnel, retention and revenue oracles all start from. Does not belong here: what they count.
"""
# ruff: noqa: DTZ901 - timestamps of the lake are naive UTC

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.oracles.reporting import Facts, Reporting, Row

SEEDS = Path(__file__).resolve().parents[2] / "dbt_project" / "seeds"
DIMENSIONS = ("channel", "device", "country")
NO_PURCHASE = frozenset({"canceled", "cancelled", "returned", "failed"})


@dataclass(frozen=True)
class Event:
    """One unique event of a person that counts: no bot's, no internal user's. `name` is the core's name for it."""

    person_id: str
    day: date
    name: str
    row: Row

    @property
    def at(self) -> datetime:
        """When it happened, UTC."""
        at: datetime = self.row["occurred_at"]
        return at


@dataclass(frozen=True)
class Person:
    """One person that was seen, signed up or ordered, with its segments; None where nothing is known."""

    person_id: str
    channel: str | None = None
    device: str | None = None
    country: str | None = None
    first_seen_day: date | None = None
    signed_up_at: datetime | None = None
    account_id: str | None = None
    is_internal: bool = False

    def segments(self, dimensions: Iterable[str] = DIMENSIONS) -> Iterator[tuple[str, str]]:
        """The (dimension, segment) pairs that this person counts in."""
        yield "all", "all"
        for dimension in dimensions:
            value = getattr(self, dimension)
            yield dimension, "(none)" if value is None else value


@dataclass(frozen=True)
class People:
    """Persons by id, and their events in no particular order."""

    persons: Mapping[str, Person]
    events: Sequence[Event]
    users: Mapping[str, Row] = field(default_factory=dict)


def first_landed(rows: Iterable[Row], key: Sequence[str]) -> list[Row]:
    """One row per key: the one that arrived first."""
    return _choose(rows, key, _place)


def latest_state(rows: Iterable[Row], key: Sequence[str]) -> list[Row]:
    """One row per key: the one with the latest `updated_at` (a row without: its arrival), then the one that arrived first."""

    def order(row: Row) -> Any:
        updated_at = row.get("updated_at") or datetime.combine(row["arrived_date"], time())
        return (datetime.max - updated_at, *_place(row))

    return _choose(rows, key, order)


def unique_events(rows: Iterable[Row]) -> list[Row]:
    """One row per event_id: the earliest received (those of unknown receipt last), then the one that arrived first."""

    def order(row: Row) -> Any:
        received_at = row.get("received_at")
        return (received_at is None, received_at or datetime.min, *_place(row))

    return _choose(rows, ["event_id"], order)


def people(facts: Facts, reporting: Reporting, event_names: Mapping[str, str] | None = None) -> People:
    """Resolve who is behind the landed rows."""
    names = event_names or {}
    events = _without_bots(unique_events(facts.get("events", ())), reporting)
    owners = _owners(events)
    users = {row["user_id"]: row for row in latest_state(facts.get("users", ()), ["user_id"])}

    def person_of(row: Row) -> str:
        user_id = row.get("user_id") or owners.get(row.get("anonymous_id") or "")
        return f"u:{user_id}" if user_id else f"a:{row['anonymous_id']}"

    internal = {f"u:{user_id}" for user_id, user in users.items() if user.get("is_internal")}
    counted = [
        Event(person_of(row), reporting.day(row["occurred_at"]), names.get(row["event"], row["event"]), row)
        for row in events
        if person_of(row) not in internal
    ]
    first_events: dict[str, Event] = {}
    for event in sorted(counted, key=lambda event: (event.at, event.row["event_id"])):
        first_events.setdefault(event.person_id, event)
    shoppers = {f"u:{row['user_id']}" for row in first_landed(facts.get("orders", ()), ["order_id"])}
    person_ids = first_events.keys() | {f"u:{user_id}" for user_id in users} | shoppers
    persons = {
        person_id: _person(
            person_id, first_events.get(person_id), users.get(person_id.removeprefix("u:")) if person_id[0] == "u" else None
        )
        for person_id in person_ids
    }
    return People(persons, counted, users)


def channel_of(source: str | None, medium: str | None, referrer: str | None) -> str:
    """Channel of a touch by the shipped rules: the first in order whose patterns all match."""
    texts = {
        "source_pattern": (source or "").strip(" ").lower(),
        "medium_pattern": (medium or "").strip(" ").lower(),
        "host_pattern": (urlsplit((referrer or "").lower()).hostname or "").removeprefix("www."),
    }
    for rule in _channel_rules():
        if all(not rule[column] or re.search(rule[column], text) for column, text in texts.items()):
            return rule["channel"]
    raise AssertionError("the last rule matches anything")


def _person(person_id: str, first: Event | None, user: Row | None) -> Person:
    touch: Row = first.row if first else {}
    known: Row = user or {}
    return Person(
        person_id=person_id,
        channel=channel_of(touch.get("utm_source"), touch.get("utm_medium"), touch.get("referrer")) if first else None,
        device=touch.get("device_type"),
        country=known.get("country") or touch.get("country"),
        first_seen_day=first.day if first else None,
        signed_up_at=known.get("signed_up_at"),
        account_id=known.get("account_id"),
        is_internal=bool(known.get("is_internal")),
    )


def _without_bots(rows: Sequence[Row], reporting: Reporting) -> list[Row]:
    def visitor_day(row: Row) -> Any:
        visitor = ("user", row["user_id"]) if row.get("user_id") else ("anonymous", row["anonymous_id"])
        return visitor, reporting.day(row["occurred_at"])

    counts = Counter(visitor_day(row) for row in rows)
    return [row for row in rows if counts[visitor_day(row)] <= reporting.bot_events_per_day]


def _owners(events: Iterable[Row]) -> dict[str, str]:
    """The user that each anonymous id was first seen with; of several at once the smallest id."""
    pairs = sorted(
        (row["occurred_at"], row["user_id"], row["anonymous_id"])
        for row in events
        if row.get("user_id") and row.get("anonymous_id")
    )
    owners: dict[str, str] = {}
    for _, user_id, anonymous_id in pairs:
        owners.setdefault(anonymous_id, user_id)
    return owners


def _place(row: Row) -> tuple[Any, ...]:
    return row["arrived_date"], row["landed_file"], row["landed_row"]


def _choose(rows: Iterable[Row], key: Sequence[str], order: Callable[[Row], Any]) -> list[Row]:
    chosen: dict[tuple[Any, ...], Row] = {}
    for row in sorted(rows, key=order):
        chosen.setdefault(tuple(row.get(name) for name in key), row)
    return list(chosen.values())


@cache
def _channel_rules() -> list[dict[str, str]]:
    with (SEEDS / "channel_rules.csv").open(encoding="utf-8", newline="") as file:
        return sorted(csv.DictReader(file), key=lambda rule: int(rule["rule_number"]))
