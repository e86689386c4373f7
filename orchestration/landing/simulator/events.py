"""The event stream: rows as codes, how they are collected, and how they become files' columns.

Belongs here: what holds for every event, namely ids, delays, duplicates, lateness and the encoding. Does not belong here: who
does what when (`visits`, `activity` and `shop` make rows by calling `rows`).
"""

from collections import Counter, defaultdict

import numpy as np
import pyarrow as pa

from orchestration.landing.simulator import parameters as p
from orchestration.landing.simulator.clock import DAY, HOUR, SECOND, Calendar, Ints, Mask, stream
from orchestration.landing.simulator.files import labels, look_up, money, numbered, timestamps
from orchestration.landing.simulator.people import TOUCHES, People

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

Rows = dict[str, Ints]
_ABSENT = {"page": -1, "touch": -1, "feature": -1, "value": -1, "product": -1, "anonymous": 1, "user": 1}
COLUMNS = ("at", "event", "person", "device", "session", *_ABSENT)


def rows(**columns: Ints | int) -> Rows:
    """Event rows from codes: at, event, person, device and session, and what else the event carries.

    touch, feature, value (cents) and product are -1 where there is none; anonymous and user say which ids the event shows.
    """
    n = len(columns["at"])  # type: ignore[arg-type]
    given = {**_ABSENT, **columns}
    table = {name: np.broadcast_to(np.asarray(given[name], dtype=np.int64), (n,)) for name in COLUMNS}
    table["page"] = np.where(table["page"] < 0, _PAGE_OF_EVENT[table["event"]], table["page"])
    return table


def concat(parts: list[Rows]) -> Rows:
    """Rows one under the other; at least one part."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def select(table: Rows, where: Ints | Mask) -> Rows:
    """Rows by position or mask."""
    return {name: values[where] for name, values in table.items()}


class Collector:
    """Turns what happens on each day into what arrives on each day; holds no more than what is under way."""

    def __init__(self, calendar: Calendar, people: People, seed: int) -> None:
        self._calendar, self._people, self._seed = calendar, people, seed
        self._under_way: defaultdict[int, list[Rows]] = defaultdict(list)
        self.realised: Counter[str] = Counter()
        rng = stream(seed, "events.devices")
        devices = len(people.device_class)
        # 48 random bits as browsers' ids have; a clash would merge two strangers, so they are drawn until all differ.
        numbers = np.unique(rng.integers(0, 2**48, devices + 64))
        self._anonymous = pa.array([f"a_{number:012x}" for number in rng.permutation(numbers)[:devices].tolist()])
        self._users = numbered("u_", people.user, 6)
        self._accounts = numbered("acc_", np.arange(1, len(people.account_kind) + 1), 5)
        self._products = pa.array(_PRODUCTS)

    @property
    def anonymous_ids(self) -> pa.Array:
        """Ids of all devices."""
        return self._anonymous

    def arrive(self, day: int, parts: list[Rows]) -> Rows:
        """Take what happened on the day, and give what arrives on it, ordered by arrival."""
        if parts:
            happened = concat(parts)
            happened = select(happened, np.argsort(happened["at"], kind="stable"))
            n = len(happened["at"])
            date = self._calendar.date(day)
            happened["number"] = (date.year * 10_000 + date.month * 100 + date.day) * 10_000_000 + np.arange(n)
            rng = stream(self._seed, "events.delays", day)
            delay = np.minimum(rng.lognormal(0.7, 1.0, n) * SECOND, 600 * SECOND).astype(np.int64)
            draw = rng.random(n)
            late = draw < p.LATE_RATE
            very_late = draw > 1 - p.VERY_LATE_RATE
            delay[late] = (rng.uniform(1, 3, n)[late] * DAY).astype(np.int64)
            delay[very_late] = (rng.uniform(3, 30, n)[very_late] * DAY).astype(np.int64)
            happened["received"] = happened["at"] + delay
            happened["late"] = (late | very_late).astype(np.int64)
            happened["copy"] = np.zeros(n, dtype=np.int64)
            copies = select(happened, np.flatnonzero(rng.random(n) < p.DUPLICATE_RATE))
            again = np.minimum(rng.exponential(6 * HOUR, len(copies["at"])), 2 * DAY).astype(np.int64)
            copies["received"] = copies["received"] + SECOND + again
            copies["copy"] = np.ones(len(copies["at"]), dtype=np.int64)
            sent = concat([happened, copies])
            arrival = self._calendar.day_of(sent["received"])
            for later in np.unique(arrival).tolist():
                self._under_way[later].append(select(sent, arrival == later))
        arrived = self._under_way.pop(day, [])
        if not arrived:
            return {}
        landed = concat(arrived)
        landed = select(landed, np.argsort(landed["received"], kind="stable"))
        self.realised["rows"] += len(landed["at"])
        self.realised["duplicate_rows"] += int(landed["copy"].sum())
        self.realised["late_events"] += int((landed["late"] * (1 - landed["copy"])).sum())
        return landed

    def close(self) -> None:
        """Count what has not arrived by the end of the last day."""
        self.realised["rows_not_arrived"] = sum(len(part["at"]) for parts in self._under_way.values() for part in parts)

    def encode(self, landed: Rows) -> pa.Table:
        """Give the columns of the contract."""
        people = self._people
        person, device, touch = landed["person"], landed["device"], landed["touch"]
        device_class = people.device_class[device]
        known = np.where(landed["user"] == 1, person, -1)
        known = np.where(people.user[person] < 0, -1, known)
        account = np.where(known >= 0, people.account[person], -1)
        return pa.table(
            {
                "event_id": numbered("e_", landed["number"], 15),
                "event": labels(EVENTS, landed["event"]),
                "occurred_at": timestamps(landed["at"]),
                "received_at": timestamps(landed["received"]),
                "anonymous_id": look_up(self._anonymous, np.where(landed["anonymous"] == 1, device, -1)),
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


def _touch_labels(name: str, touch: Ints) -> pa.Array:
    values = [getattr(item, name) for item in TOUCHES]
    names = sorted({value for value in values if value is not None})
    codes = np.array([names.index(value) if value is not None else -1 for value in values])
    return labels(names, np.where(touch < 0, -1, codes[touch]))
