"""The simulated company: one pass over the arrival days that writes the landing zone and the truth beside it.

Belongs here: the order of the day, formats, bad rows, the truth file. Does not belong here: what each source says.
"""

import json
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pyarrow as pa

from orchestration.errors import UserError
from orchestration.landing.simulator import parameters as p
from orchestration.landing.simulator.activity import WARM_UP_DAYS, Activity
from orchestration.landing.simulator.billing import Billing
from orchestration.landing.simulator.clock import NEVER, Calendar, stream
from orchestration.landing.simulator.events import Collector
from orchestration.landing.simulator.files import as_text, write_csv, write_jsonl, write_parquet
from orchestration.landing.simulator.marketing import Advertising, Rates
from orchestration.landing.simulator.people import BOT, INTERNAL, PAYING_BASE, PLATFORM, SHOP, TOUCH_CHANNEL, People, build_people
from orchestration.landing.simulator.registry import Registry
from orchestration.landing.simulator.shop import Shop
from orchestration.landing.simulator.visits import Visits

_MAXIMUM_DAYS = 3_650
# So that every format that may land does land: one arrival day in seven as text, some sources always.
_CSV_WEEKDAY = 2
_ALWAYS_CSV = frozenset({"ad_spend"})
_ALWAYS_JSONL = frozenset({"payments"})
# How a row breaks the contract, by source and in turn: the columns that are replaced.
_DAMAGE: dict[str, tuple[dict[str, str | None], ...]] = {
    "events": ({"occurred_at": "yesterday, about noon"}, {"anonymous_id": None, "user_id": None}),
    "orders": ({"amount": "-19.90"}, {"ordered_at": "0000-00-00"}),
    "payments": ({"amount": "-999.00"}, {"paid_at": "n/a"}),
}
_DAMAGE_KEY = {"events": "event_id", "orders": "order_id", "payments": "payment_id"}


@dataclass(frozen=True)
class Summary:
    """What was written: rows per source, `<source>/dt=…` folders in all, and the first and the last arrival day."""

    rows: dict[str, int]
    partitions: int
    first_day: date
    last_day: date


def simulate(
    out: Path, *, days: int = 120, users: int = 2_000, seed: int = 7, end: date, timezone: str = "Asia/Shanghai"
) -> Summary:
    """Write the landing zone of a simulated company to `out`, and what was planted in it to `out/truth.json`.

    days: arrival days, the last of which is `end`. users: about how many persons sign up in that time; visitors are some nine
    times as many, and customers from before come on top. The same arguments give the same bytes. `truth.json` is written last.

    Raises:
        UserError: an argument is out of range, or `out` is a file or holds anything already.

    """
    _check(out, days, users, seed, end, timezone)
    out.mkdir(parents=True, exist_ok=True)
    try:
        return _Writer(out, Calendar(end, days, timezone), users, seed, timezone).write()
    except BaseException:
        # Half a landing zone looks like a whole one; the folder was empty, so all in it is ours.
        for entry in out.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        raise


def _check(out: Path, days: int, users: int, seed: int, end: date, timezone: str) -> None:
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
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file; the simulated landing zone needs a folder")
    if out.exists() and any(out.iterdir()):
        raise UserError(f"{out} already holds data; the simulated landing zone needs an empty or new folder")


class _Writer:
    def __init__(self, out: Path, calendar: Calendar, users: int, seed: int, timezone: str) -> None:
        self._out, self._calendar, self._users, self._seed, self._timezone = out, calendar, users, seed, timezone
        self._rows: Counter[str] = Counter()
        self._partitions = 0
        self._bad: Counter[str] = Counter()
        self._people = build_people(calendar, users, seed)
        self._activity = Activity(calendar, self._people, seed)
        self._billing = Billing(calendar, self._people, seed)
        self._visits = Visits(calendar, self._people, seed)
        self._shop = Shop(calendar, self._people, seed)
        self._registry = Registry(calendar, self._people)
        self._rates = Rates(calendar, seed)
        self._advertising = Advertising(calendar, self._people, self._rates, seed)
        self._collector = Collector(calendar, self._people, seed)

    def write(self) -> Summary:
        # A source is a name and what arrives of it on a day. Those of one day are asked in this order.
        sources: dict[str, Callable[[int], pa.Table | None]] = {
            "users": self._registry.users,
            "accounts": self._registry.accounts,
            "subscriptions": lambda _: self._billing.take_subscriptions(),
            "payments": lambda _: self._billing.take_payments(),
            "orders": self._shop.orders,
            "ad_spend": self._advertising.arrivals,
            "fx_rates": self._rates.arrivals,
        }
        self._billing.found()
        for day in range(-WARM_UP_DAYS, 0):
            self._activity.step(day, self._billing.paying, self._billing.canceled)
        for day in range(self._calendar.days):
            active = self._activity.step(day, self._billing.paying, self._billing.canceled)
            self._billing.step(day, self._activity)
            parts = self._visits.day(day) + self._activity.events(day, active) + self._shop.events(day)
            landed = self._collector.arrive(day, parts)
            if landed:
                self._land("events", day, self._collector.encode(landed))
            for source, arrivals in sources.items():
                table = arrivals(day)
                if table is not None:
                    self._land(source, day, table)
        self._collector.close()
        (self._out / "truth.json").write_text(json.dumps(self._truth(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        last = self._calendar.date(self._calendar.days - 1)
        return Summary(dict(sorted(self._rows.items())), self._partitions, self._calendar.first, last)

    def _land(self, source: str, day: int, table: pa.Table) -> None:
        folder = self._out / source / f"dt={self._calendar.date(day).isoformat()}"
        if source in _ALWAYS_JSONL:
            table = self._damaged(source, day, as_text(table, zone="Z"))
            write_jsonl(table, folder)
        elif source in _ALWAYS_CSV or self._calendar.date(day).weekday() == _CSV_WEEKDAY:
            table = self._damaged(source, day, as_text(table))
            write_csv(table, folder)
        else:
            write_parquet(table, folder)
        self._rows[source] += table.num_rows
        self._partitions += 1

    def _damaged(self, source: str, day: int, text: pa.Table) -> pa.Table:
        """Give the table with copies of a few of its rows added, under ids of their own, each broken in one way."""
        if source not in _DAMAGE or text.num_rows < p.BAD_ROW_MINIMUM_FILE:
            return text
        count = min(p.BAD_ROWS_PER_FILE, int(text.num_rows * p.BAD_ROW_RATE))
        rng = stream(self._seed, f"company.bad.{source}", day)
        copies = text.take(pa.array(np.sort(rng.choice(text.num_rows, count, replace=False)))).to_pylist()
        for position, row in enumerate(copies):
            row[_DAMAGE_KEY[source]] += f"-{position + 1}"
            row.update(_DAMAGE[source][position % len(_DAMAGE[source])])
        self._bad[source] += count
        return pa.concat_tables([text, pa.Table.from_pylist(copies, schema=text.schema)])

    def _truth(self) -> dict[str, object]:
        people, calendar = self._people, self._calendar
        bad_week = calendar.bad_week
        users = [f"u_{number:06d}" for number in people.user[people.kind == INTERNAL].tolist()]
        return {
            "arguments": {
                "days": calendar.days,
                "users": self._users,
                "seed": self._seed,
                "first_day": calendar.first.isoformat(),
                "last_day": calendar.date(calendar.days - 1).isoformat(),
                "timezone": self._timezone,
            },
            "parameters": _plain(p.parameters()),
            "channels": [asdict(channel) for channel in p.CHANNELS],
            "bad_week": None
            if bad_week is None
            else [calendar.date(bad_week[0]).isoformat(), calendar.date(bad_week[1] - 1).isoformat()],
            "rows": dict(sorted(self._rows.items())),
            "bad_rows": dict(sorted(self._bad.items())),
            "events": dict(sorted(self._collector.realised.items())),
            "bots": [
                {
                    "anonymous_id": self._collector.anonymous_ids[int(people.first_device[person])].as_py(),
                    "dates": [calendar.date(day).isoformat() for day in days],
                }
                for person, days in sorted(self._visits.bot_days.items())
            ],
            "internal_user_ids": users,
            "acquisition": self._acquisition(),
            "plg_reached": self._reached(),
            "customers_from_before": {
                "paying_accounts": int((people.account_kind == PAYING_BASE).sum()),
                "platform_users": int(((people.kind == PLATFORM) & (people.first_seen == NEVER)).sum()),
                "shop_customers": int(((people.kind == SHOP) & (people.first_seen < calendar.start(0))).sum()),
            },
            "billing": dict(sorted(self._billing.realised.items())),
            "churn": self._billing.churn_truth(),
            "shop": dict(sorted(self._shop.realised.items())),
        }

    def _acquisition(self) -> dict[str, dict[str, object]]:
        """Count, by channel, persons first seen in the period, those who signed up in it, and the spend."""
        people: People = self._people
        start, end = self._calendar.start(np.array([0, self._calendar.days]))
        came = (people.first_seen >= start) & (people.first_seen < end) & (people.kind != BOT)
        signed = came & (people.signed_up_at < end)
        result: dict[str, dict[str, object]] = {}
        for number, channel in enumerate(p.CHANNELS):
            mine = TOUCH_CHANNEL[people.touch] == number
            counts = {
                f"{segment}_{name}": int((mine & where & (people.kind == kind)).sum())
                for segment, kind in (("platform", PLATFORM), ("shop", SHOP))
                for name, where in (("visitors", came), ("signups", signed))
            }
            spend = self._advertising.spend_cny.get(channel.name)
            result[channel.name] = {**counts, "spend_cny": None if spend is None else spend / 100}
        return result

    def _reached(self) -> dict[str, int]:
        """Count the new visitors of the platform that reached each step within the period."""
        journeys, end = self._people.journeys, int(self._calendar.start(self._calendar.days))
        reached = {
            step: int((journeys.at[:, column] < end).sum())
            for column, step in enumerate(("website_visit", *list(p.PLG_STEPS)[:5]))
        }
        reached["active_user"] = int((journeys.later_days[:, -1] < self._calendar.days).sum())
        reached["paid_conversion"] = int((journeys.paid_at < end).sum())
        return reached


def _plain(value: object) -> object:
    """Put the value in JSON's terms; keys that are tuples become text."""
    if isinstance(value, dict):
        return {"/".join(key) if isinstance(key, tuple) else str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
