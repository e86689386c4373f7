"""Who did what: landed rows to unique facts, visitors to persons, first touches to channels and segments.

Belongs here: what the funnel, retention and revenue oracles all start from. Does not belong here: what they count.
"""
# ruff: noqa: DTZ901 - timestamps of the lake are naive UTC

import csv
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.oracles.memory import remembered
from tests.oracles.reporting import Facts, Reporting, Row

SEEDS = Path(__file__).resolve().parents[2] / "dbt_project" / "seeds"
DIMENSIONS = ("channel", "device", "country")
SOURCE = ("utm_source", "utm_medium", "utm_campaign", "referrer", "click_id")
VISITOR = ("device_type", "country", "city_tier")
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
    first_seen_at: datetime | None = None
    user_id: str | None = None
    signed_up_at: datetime | None = None
    account_id: str | None = None
    role: str | None = None
    city_tier: int | None = None
    is_internal: bool = False

    def segments(self, dimensions: Iterable[str] = DIMENSIONS) -> Iterator[tuple[str, str]]:
        """The (dimension, segment) pairs that this person counts in."""
        yield "all", "all"
        for dimension in dimensions:
            value = getattr(self, dimension)
            yield dimension, "(none)" if value is None else value


class Identities:
    """Which person each id is: connected components of the pairs of ids that were seen together."""

    def __init__(self, events: Iterable[Row], reporting: Reporting) -> None:
        pairs = {(row.get("anonymous_id"), row.get("user_id")) for row in events}
        self._denied_ids = reporting.denied_ids
        usable = {(device, user) for device, user in pairs if not self._is_nobody(device) and not self._is_nobody(user)}
        links: dict[tuple[str, str | None], int] = Counter()
        for device, user in usable:
            links["anonymous", device] += 1
            links["user", user] += 1
        self._shared = {name for (kind, name), count in links.items() if kind == "user" and count > reporting.max_identity_links}
        self._parents: dict[tuple[str, str], tuple[str, str]] = {}
        for device, user in usable:
            if max(links["anonymous", device], links["user", user]) <= reporting.max_identity_links:
                assert device is not None
                assert user is not None
                self._join(("anonymous", device), ("user", user))
        self._names: dict[tuple[str, str], str] = {}
        for kind, name in self._parents:
            if kind == "user":
                root = self._root((kind, name))
                self._names[root] = min(self._names.get(root, name), name)

    def of_user(self, user_id: str) -> str:
        """The person of a user id."""
        return f"u:{self._names.get(self._root(('user', user_id)), user_id)}"

    def of_row(self, row: Row) -> str:
        """The person of a row: its user's, else its device's; a placeholder or shared user id counts when it is all there is."""
        user_id, anonymous_id = row.get("user_id"), row.get("anonymous_id")
        if anonymous_id is None or not (self._is_nobody(user_id) or user_id in self._shared):
            assert user_id is not None
            return self.of_user(user_id)
        name = self._names.get(self._root(("anonymous", anonymous_id)))
        return f"a:{anonymous_id}" if name is None else f"u:{name}"

    def _is_nobody(self, id_: str | None) -> bool:
        return id_ is None or id_.lower() in self._denied_ids

    def _root(self, node: tuple[str, str]) -> tuple[str, str]:
        while (parent := self._parents.get(node, node)) != node:
            node = parent
        return node

    def _join(self, one: tuple[str, str], other: tuple[str, str]) -> None:
        for node in (one, other):
            self._parents.setdefault(node, node)
        self._parents[self._root(one)] = self._root(other)
        # Everyone on the way points at the top from now on: chains stay short.
        for node in (one, other):
            self._parents[node] = self._root(node)


@dataclass(frozen=True)
class People:
    """Persons by id, their events in no particular order, users by id, and the persons that have an internal user."""

    persons: Mapping[str, Person]
    events: Sequence[Event]
    users: Mapping[str, Row]
    identities: Identities
    internal: frozenset[str]


def first_landed(rows: Iterable[Row], key: Sequence[str]) -> list[Row]:
    """One row per key: the one that arrived first."""
    return _choose(rows, key, _place)


def latest_state(rows: Iterable[Row], key: Sequence[str]) -> list[Row]:
    """One row per key: the one with the latest `updated_at` (a row without: its arrival), then the one that arrived last."""
    return _choose(sorted(rows, key=lambda row: (_written(row), *_place(row)), reverse=True), key, lambda _: 0)


def latest_spend(rows: Iterable[Row]) -> list[Row]:
    """Of each day, campaign and ad what the file with its latest state says: every row that differs from those before it."""
    key = ("spend_date", "utm_source", "utm_medium", "utm_campaign", "utm_content", "ad_id")
    said = (*key, "cost", "currency", "impressions", "clicks", "extra")

    def state(row: Row) -> Any:
        return _written(row), row["arrived_date"], row["landed_file"]

    landed = sorted(rows, key=_place)
    newest = {tuple(row.get(name) for name in key): state(row) for row in latest_state(landed, key)}
    kept = [row for row in landed if state(row) == newest[tuple(row.get(name) for name in key)]]
    return latest_state(kept, said)


def unique_events(rows: Iterable[Row]) -> list[Row]:
    """One row per event_id: the earliest received (those of unknown receipt last), then the one that arrived first."""

    def order(row: Row) -> Any:
        received_at = row.get("received_at")
        return (received_at is None, received_at or datetime.min, *_place(row))

    return _choose(rows, ["event_id"], order)


def counted(facts: Facts, reporting: Reporting) -> Facts:
    """Facts without rows of a day after `data_through`; of each key one row is chosen first."""
    dated = (("orders", ["order_id"], "ordered_at"), ("payments", ["payment_id"], "paid_at"))
    dated += (("subscriptions", ["subscription_id", "changed_at"], "changed_at"), ("users", ["user_id"], "signed_up_at"))
    kept = dict(facts)
    for source, key, at in dated:
        kept[source] = [
            row for row in latest_state(facts.get(source, ()), key) if reporting.day(row[at]) <= reporting.data_through
        ]
    return kept


def paid_kind(payment: Row) -> str:
    """What a payment that gives nothing back is for, by what it says itself."""
    return payment.get("kind") or ("order" if payment.get("order_id") else "subscription")


@remembered
def people(facts: Facts, reporting: Reporting, event_names: Mapping[str, str] | None = None) -> People:
    """Resolve who is behind the landed rows."""
    names = event_names or {}
    facts = counted(facts, reporting)
    events = without_bots(unique_events(facts.get("events", ())), reporting)
    events = [row for row in events if reporting.day(row["occurred_at"]) <= reporting.data_through]
    identities = Identities(events, reporting)
    users = {row["user_id"]: row for row in latest_state(facts.get("users", ()), ["user_id"])}
    users_of: dict[str, list[Row]] = defaultdict(list)
    for user_id, user in users.items():
        users_of[identities.of_user(user_id)].append(user)
    internal = frozenset(person_id for person_id, members in users_of.items() if any(user.get("is_internal") for user in members))
    seen = [
        Event(identities.of_row(row), reporting.day(row["occurred_at"]), names.get(row["event"], row["event"]), row)
        for row in events
        if identities.of_row(row) not in internal
    ]
    events_of: dict[str, list[Event]] = defaultdict(list)
    for event in seen:
        events_of[event.person_id].append(event)
    first_sessions = {person_id: cut(members, reporting)[0] for person_id, members in events_of.items()}
    shoppers = {identities.of_user(row["user_id"]) for row in latest_state(facts.get("orders", ()), ["order_id"])}
    persons = {
        person_id: _person(person_id, first_sessions.get(person_id, []), users_of[person_id], person_id in internal, reporting)
        for person_id in first_sessions.keys() | users_of.keys() | shoppers
    }
    return People(persons, seen, users, identities, internal)


def cut(events: list[Event], reporting: Reporting) -> list[list[Event]]:
    """The sessions of one person's events, each in order of time."""
    found: list[list[Event]] = []
    for event in sorted(events, key=lambda event: (event.at, event.row["event_id"])):
        last = found[-1][-1] if found else None
        if (
            last is None
            or event.at - last.at > reporting.session_gap
            or (reporting.sessions_end_at_midnight and event.day != last.day)
        ):
            found.append([])
        found[-1].append(event)
    return found


CLICK_IDS = frozenset(
    {
        *("gclid", "gbraid", "wbraid", "msclkid", "bd_vid", "yclid", "dclid", "ttclid"),
        *("twclid", "li_fat_id", "rdt_cid", "sccid", "qz_gdt", "fbclid", "igshid"),
    }
)


def channel_of(
    source: str | None, medium: str | None, referrer: str | None, click_id: str | None = None, ignored: Iterable[str] = ()
) -> str:
    """Channel of a touch by the shipped rules: the first in order whose patterns all match."""
    named = _spelled(source)
    host = (urlsplit((referrer or "").lower()).hostname or "").removeprefix("www.")
    if named or any(f".{host}".endswith(f".{ending}") for ending in ignored):
        host = ""
    texts = {
        "source_pattern": named or host,
        "medium_pattern": _spelled(medium),
        "host_pattern": host,
        "click_pattern": click_id or "",
    }
    for rule in _channel_rules():
        if all(not rule[column] or re.search(rule[column], text) for column, text in texts.items()):
            return rule["channel"]
    raise AssertionError("the last rule matches anything")


def click_id_of(page: str | None) -> str | None:
    """The first advertising click id among the parameters of an address."""
    for name, equals, value in (part.partition("=") for part in re.split(r"[?&#]", (page or "").lower())[1:]):
        if name in CLICK_IDS and equals and value:
            return name
    return None


def touch_of(events: Sequence[Event]) -> dict[str, Any]:
    """A session's touch: its source whole from the first event with any, device and place each from the first known."""
    found: dict[str, Any] = dict.fromkeys((*SOURCE, *VISITOR))
    for event in events:
        source = {**{name: event.row.get(name) for name in SOURCE}, "click_id": click_id_of(event.row.get("page"))}
        if any(value is not None for value in source.values()):
            found.update(source)
            break
    for name in VISITOR:
        known = [(event.at, event.row[name]) for event in events if event.row.get(name) is not None]
        found[name] = min(known)[1] if known else None
    return found


def without_bots(rows: Sequence[Row], reporting: Reporting) -> list[Row]:
    """The unique events of visitors who did no more than anyone can do in a day."""

    def visitor_day(row: Row) -> Any:
        visitor = ("user", row["user_id"]) if row.get("user_id") else ("anonymous", row["anonymous_id"])
        return visitor, reporting.day(row["occurred_at"])

    counts = Counter(visitor_day(row) for row in rows)
    return [row for row in rows if counts[visitor_day(row)] <= reporting.bot_events_per_day]


def _person(person_id: str, session: Sequence[Event], users: Iterable[Row], is_internal: bool, reporting: Reporting) -> Person:
    first, touch = (session[0] if session else None), touch_of(session)
    # Of several users the one who signed up first speaks for the person.
    user: Row = min(users, key=lambda user: (user["signed_up_at"], user["user_id"]), default={})
    city_tier = user.get("city_tier")
    return Person(
        person_id=person_id,
        channel=channel_of(
            touch["utm_source"], touch["utm_medium"], touch["referrer"], touch["click_id"], reporting.ignored_referrers
        )
        if first
        else None,
        device=touch.get("device_type"),
        country=user.get("country") or touch.get("country"),
        first_seen_day=first.day if first else None,
        first_seen_at=first.at if first else None,
        user_id=user.get("user_id"),
        signed_up_at=user.get("signed_up_at"),
        account_id=user.get("account_id"),
        role=user.get("role"),
        city_tier=touch.get("city_tier") if city_tier is None else city_tier,
        is_internal=is_internal,
    )


def _place(row: Row) -> tuple[Any, ...]:
    return row["arrived_date"], row["landed_file"], row["landed_row"]


def _written(row: Row) -> datetime:
    """When a state was written: without a time of its own, when its arrival day began."""
    written: datetime | None = row.get("updated_at")
    return written or datetime.combine(row["arrived_date"], time())


def _choose(rows: Iterable[Row], key: Sequence[str], order: Callable[[Row], Any]) -> list[Row]:
    chosen: dict[tuple[Any, ...], Row] = {}
    for row in sorted(rows, key=order):
        chosen.setdefault(tuple(row.get(name) for name in key), row)
    return list(chosen.values())


def _spelled(text: str | None) -> str:
    return re.sub("[ _]", "-", (text or "").strip(" ").lower())


@cache
def _channel_rules() -> list[dict[str, str]]:
    with (SEEDS / "channel_rules.csv").open(encoding="utf-8", newline="") as file:
        return sorted(csv.DictReader(file), key=lambda rule: int(rule["rule_number"]))
