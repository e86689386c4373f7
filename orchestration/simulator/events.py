"""The event stream: rows as codes, their collection, and their encoding as columns of files.

Belongs here: properties of all events, namely ids, delays, duplicates, lateness and the encoding. Does not belong here:
behaviour (`visits`, `activity` and `shop` make rows by calling `rows`).
"""

from collections import Counter

import numpy as np
import pyarrow as pa

from orchestration.simulator import parameters as p
from orchestration.simulator.clock import DAY, HOUR, SECOND, Calendar, Ints, stream
from orchestration.simulator.files import labels, look_up, money, numbered, timestamps
from orchestration.simulator.people import BOT, TOUCHES, People
from orchestration.simulator.tables import Post, Rows, by_time, concat, day_number, select

EVENTS = (
    "page_viewed",
    "pricing_viewed",
    "signup_started",
    "signup_completed",
    "logged_in",
    "onboarding_completed",
    "value_achieved",
    "feature_used",
    "match_requested",
    "invite_sent",
    "content_viewed",
    "community_posted",
    "product_viewed",
    "coupon_shown",
    "coupon_clicked",
    "cart_added",
    "checkout_started",
    "order_placed",
)
EVENT = {name: code for code, name in enumerate(EVENTS)}
_SITE_PAGES = ("/", "/product", "/solutions", "/customers", "/blog", "/docs")
_EVENT_PAGES = {
    "pricing_viewed": "/pricing",
    "signup_started": "/signup",
    "signup_completed": "/signup/done",
    "logged_in": "/app",
    "onboarding_completed": "/app/onboarding",
    "value_achieved": "/app/match",
    "feature_used": "/app/tools",
    "match_requested": "/app/match",
    "invite_sent": "/app/team",
    "content_viewed": "/app/library",
    "community_posted": "/app/community",
    "product_viewed": "/shop/product",
    "coupon_shown": "/shop/product",
    "coupon_clicked": "/shop/product",
    "cart_added": "/shop/cart",
    "checkout_started": "/shop/checkout",
    "order_placed": "/shop/thanks",
}
PAGES = _SITE_PAGES + tuple(dict.fromkeys(_EVENT_PAGES.values()))
SITE_PAGE_COUNT = len(_SITE_PAGES)
_PAGE_OF_EVENT = np.array([PAGES.index(_EVENT_PAGES.get(name, "/")) for name in EVENTS])
PRODUCTS = 200
_PRODUCTS = [f'{{"product_id":"p_{number:04d}"}}' for number in range(PRODUCTS)]
_DEVICE_TYPES = [device for device, _ in p.DEVICES]
_SYSTEMS = [system for _, system in p.DEVICES]

_ABSENT = {"page": -1, "touch": -1, "feature": -1, "value": -1, "product": -1, "anonymous": 1, "user": 1}
_ORIGINAL, _SAME_DAY, _OTHER_DAY, _RESENT = range(4)
_MOST_LISTED = 1_000
COLUMNS = ("at", "event", "person", "device", "session", *_ABSENT)


def rows(**columns: Ints | int) -> Rows:
    """Event rows from codes: at, event, person, device and session, and further attributes of the event.

    touch, feature, value (cents) and product are -1 if absent; anonymous and user tell which ids the event shows.
    """
    n = len(columns["at"])  # type: ignore[arg-type]
    given = {**_ABSENT, **columns}
    table = {name: np.broadcast_to(np.asarray(given[name], dtype=np.int64), (n,)) for name in COLUMNS}
    table["page"] = np.where(table["page"] < 0, _PAGE_OF_EVENT[table["event"]], table["page"])
    return table


class Collector:
    """Turns the events of each day into the arrivals of each day; keeps only events that have not arrived."""

    def __init__(self, calendar: Calendar, people: People, seed: int) -> None:
        self._calendar, self._people, self._seed = calendar, people, seed
        self._under_way = Post(calendar)
        self.realised: Counter[str] = Counter()
        self.resent_event: str | None = None
        self.junk_ids: Counter[str] = Counter()
        rng = stream(seed, "events.devices")
        devices = len(people.device_class)
        # 48 random bits, as in browsers' ids; a collision would merge two strangers, so they are drawn until all differ.
        numbers = np.unique(rng.integers(0, 2**48, devices + 64))
        own = [f"a_{number:012x}" for number in rng.permutation(numbers)[:devices].tolist()]
        self._anonymous = pa.array([*own, *p.JUNK_IDS])
        self._users = numbered("u_", people.user, 6)
        self._accounts = numbered("acc_", np.arange(1, len(people.account_kind) + 1), 5)
        self._products = pa.array(_PRODUCTS)
        # Devices seen together with a user: each person's own, and the persons seen in each meeting room.
        self._owned = int(people.device_count.sum())
        self._seen = np.zeros(devices, dtype=bool)
        self._seen_in_room = np.zeros(len(people.kind), dtype=bool)

    def anonymous_id(self, device: int) -> str:
        """Id of a device."""
        return str(self._anonymous[device].as_py())

    def arrive(self, day: int, parts: list[Rows]) -> Rows | None:
        """Take the events of the day, and return its arrivals in order of arrival."""
        if parts:
            sent = self._send(day, by_time(*parts))
            self._under_way.send(sent, sent["received"], day)
        arrived = self._under_way.receive(day)
        if arrived is None:
            return None
        landed = select(arrived, np.argsort(arrived["received"], kind="stable"))
        self._count(landed)
        return landed

    def _send(self, day: int, happened: Rows) -> Rows:
        """Assign a number, an id and a time of receipt to the day's events, and add the copies that will be sent again."""
        n = len(happened["at"])
        happened["number"] = day_number(self._calendar, day) + np.arange(n)
        rng = stream(self._seed, "events.delays", day)
        delay = np.minimum(rng.lognormal(0.7, 1.0, n) * SECOND, 600 * SECOND).astype(np.int64)
        draw = rng.random(n)
        late = draw < p.LATE_RATE
        very_late = draw > 1 - p.VERY_LATE_RATE
        delay[late] = (rng.uniform(1, 3, n)[late] * DAY).astype(np.int64)
        tail = rng.lognormal(np.log(p.VERY_LATE_MEDIAN_DAYS), p.VERY_LATE_SIGMA, n)
        delay[very_late] = np.minimum((3 + tail[very_late]) * DAY, p.LATEST_DAYS * DAY).astype(np.int64)
        happened["received"] = happened["at"] + delay
        happened["delay"] = delay
        happened["copy"] = np.full(n, _ORIGINAL)
        shown = np.where(happened["anonymous"] == 1, happened["device"], -1)
        junk = np.flatnonzero((rng.random(n) < p.JUNK_ID_RATE) & (self._people.kind[happened["person"]] != BOT))
        shown[junk] = len(self._seen) + rng.integers(0, len(p.JUNK_IDS), len(junk))
        happened["shown"] = shown
        copies = select(happened, np.flatnonzero(rng.random(n) < p.DUPLICATE_RATE))
        again = np.minimum(rng.exponential(6 * HOUR, len(copies["at"])), 2 * DAY).astype(np.int64)
        copies["received"] = copies["received"] + SECOND + again
        other_day = self._calendar.day_of(copies["received"]) != self._calendar.day_of(copies["received"] - SECOND - again)
        copies["copy"] = np.where(other_day, _OTHER_DAY, _SAME_DAY)
        return concat([happened, copies, *self._resend(rng, day, happened)])

    def _resend(self, rng: np.random.Generator, day: int, happened: Rows) -> list[Rows]:
        """Choose the one event that a client sends repeatedly for three days, on the first possible day."""
        if self.resent_event is not None or day < int(p.RESENT_POSITION * self._calendar.days):
            return []
        copies = select(happened, np.zeros(p.RESENT_COPIES, dtype=np.int64))
        copies["received"] = copies["received"] + SECOND + (rng.random(p.RESENT_COPIES) * 3 * DAY).astype(np.int64)
        copies["copy"] = np.full(p.RESENT_COPIES, _RESENT)
        self.resent_event = str(_event_ids(copies["number"][:1])[0].as_py())
        return [copies]

    def _count(self, landed: Rows) -> None:
        first = landed["copy"] == _ORIGINAL
        self.realised["rows"] += len(first)
        for name, kind in (("same_day", _SAME_DAY), ("other_day", _OTHER_DAY), ("resent", _RESENT)):
            self.realised[f"{name}_copies"] += int((landed["copy"] == kind).sum())
        self.realised["duplicate_rows"] += int((~first).sum())
        for name, days in (("late", 1), ("three_days_late", 3), ("latest", p.LATEST_DAYS)):
            self.realised[f"{name}_events"] += int((first & (landed["delay"] >= days * DAY)).sum())
        junk = landed["shown"][first & (landed["shown"] >= len(self._seen))] - len(self._seen)
        for code, count in enumerate(np.bincount(junk, minlength=len(p.JUNK_IDS)).tolist()):
            self.junk_ids[p.JUNK_IDS[code]] += count
        known = (landed["user"] == 1) & (self._people.user[landed["person"]] >= 0)
        device, person = (landed[name][known & (landed["shown"] == landed["device"])] for name in ("device", "person"))
        self._seen[device] = True
        self._seen_in_room[person[device >= self._owned]] = True

    def close(self) -> None:
        """Count the events that have not arrived by the end of the last day."""
        self.realised["rows_not_arrived"] = self._under_way.waiting

    def identity_truth(self) -> dict[str, object]:
        """Devices seen with a user: their number per user, those shared by two users, and events with junk ids."""
        people = self._people
        owner = np.repeat(np.arange(len(people.kind)), people.device_count)
        devices = np.bincount(owner[self._seen[: self._owned]], minlength=len(people.kind))
        devices += self._seen_in_room
        shared: dict[str, list[str]] = {}
        for person in np.flatnonzero(self._seen_in_room).tolist():
            shared.setdefault(self.anonymous_id(int(people.room[person])), []).append(str(self._users[person].as_py()))
        shared = {device: sorted(users) for device, users in sorted(shared.items()) if len(users) > 1}
        count = np.bincount(devices[devices > 0])
        return {
            "users_by_devices": {str(number): int(users) for number, users in enumerate(count.tolist()) if users},
            "shared_device_count": len(shared),
            "shared_devices": shared if len(shared) < _MOST_LISTED else None,
            "junk_ids": dict(sorted(self.junk_ids.items())),
        }

    def encode(self, landed: Rows) -> pa.Table:
        """Return the columns of the contract."""
        people = self._people
        person, device, touch = landed["person"], landed["device"], landed["touch"]
        device_class = people.device_class[device]
        known = np.where(landed["user"] == 1, person, -1)
        known = np.where(people.user[person] < 0, -1, known)
        account = np.where(known >= 0, people.account[person], -1)
        return pa.table(
            {
                "event_id": _event_ids(landed["number"]),
                "event": labels(EVENTS, landed["event"]),
                "occurred_at": timestamps(landed["at"]),
                "received_at": timestamps(landed["received"]),
                "anonymous_id": look_up(self._anonymous, landed["shown"]),
                "user_id": look_up(self._users, known),
                "account_id": look_up(self._accounts, account),
                "session_id": numbered("s_", landed["session"], 15),
                "page": labels(PAGES, landed["page"]),
                "referrer": _touch_labels("referrer", touch),
                "utm_source": _touch_labels("utm_source", touch),
                "utm_medium": _touch_labels("utm_medium", touch),
                "utm_campaign": _touch_labels("utm_campaign", touch),
                "device_type": labels(_DEVICE_TYPES, device_class),
                "os": labels(_SYSTEMS, device_class),
                "country": labels(list(p.COUNTRIES), people.country[person]),
                "city_tier": pa.array(people.city_tier[person]),
                "feature": labels(p.FEATURES, landed["feature"]),
                "value": money(landed["value"]),
                "properties": look_up(self._products, landed["product"]),
            }
        )


def _event_ids(numbers: Ints) -> pa.Array:
    return numbered("e_", numbers, 15)


def _touch_labels(name: str, touch: Ints) -> pa.Array:
    values = [getattr(item, name) for item in TOUCHES]
    names = sorted({value for value in values if value is not None})
    codes = np.array([names.index(value) if value is not None else -1 for value in values])
    return labels(names, np.where(touch < 0, -1, codes[touch]))
