"""Money outside the product: advertising cost by day and campaign, and exchange rates.

Belongs here: `ad_spend`, `fx_rates`. Does not belong here: the visits from advertising (`people`).
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from orchestration.simulator import parameters as p
from orchestration.simulator.clock import HISTORY_DAYS, HOUR, NEVER, Calendar, Floats, stream
from orchestration.simulator.files import money, timestamps
from orchestration.simulator.people import PLATFORM, SHOP, TOUCH_CHANNEL, TOUCHES, People, signup_rates

_CLICKS_PER_VISIT = 1.12
_CLICK_RATE = 0.021


class Rates:
    """US dollars for one unit of each currency: a mean-reverting walk from before the first fact to the last day."""

    def __init__(self, calendar: Calendar, seed: int) -> None:
        self._calendar = calendar
        self._start = -HISTORY_DAYS
        length = calendar.days - self._start
        self._rates: dict[str, Floats] = {}
        for currency, anchor in p.FX_USD.items():
            noise = stream(seed, f"fx.{currency}").normal(0, p.FX_DAILY_VOLATILITY, length)
            level, path = 0.0, np.empty(length)
            for position in range(length):
                level = 0.985 * level + noise[position]
                path[position] = level
            self._rates[currency] = np.round(anchor * np.exp(path), 8)

    def of(self, day: int, currency: str) -> float:
        """Return the rate of a day."""
        return float(self._rates[currency][day - self._start])

    def arrivals(self, day: int) -> pa.Table:
        """Return the day's rates; the first day includes all earlier ones."""
        days = range(self._start if day == 0 else day, day + 1)
        rows = [(self._calendar.date(d), currency, round(self.of(d, currency) * 10**8)) for d in days for currency in p.FX_USD]
        return pa.table(
            {
                "rate_date": pa.array([row[0] for row in rows], pa.date32()),
                "currency": pa.array([row[1] for row in rows]),
                "usd_rate": money(np.array([row[2] for row in rows]), scale=8),
            }
        )


class Advertising:
    """Cost of each paid campaign: expected sign-ups of its visits times the planted cost per sign-up, with daily noise."""

    def __init__(self, calendar: Calendar, people: People, rates: Rates, seed: int) -> None:
        self._calendar, self._rates, self._seed = calendar, rates, seed
        self.spend_cny: Counter[str] = Counter()
        self.corrections = 0
        self._later: defaultdict[int, list[_Spend]] = defaultdict(list)
        self._paid = [t for t in range(len(TOUCHES)) if p.CHANNELS[TOUCH_CHANNEL[t]].cost_per_signup_cny is not None]
        chance = signup_rates()
        self._signups: dict[int, Floats] = {}
        self._visits: dict[int, Floats] = {}
        for touch in self._paid:
            expected, visits = np.zeros(calendar.days), np.zeros(calendar.days)
            for kind, name in ((PLATFORM, "platform"), (SHOP, "shop")):
                came = people.first_seen[(people.touch == touch) & (people.kind == kind) & (people.first_seen < NEVER)]
                day = calendar.day_of(came)
                by_day = np.bincount(day[(day >= 0) & (day < calendar.days)], minlength=calendar.days)
                visits += by_day
                expected += by_day * chance[name][TOUCH_CHANNEL[touch]]
            self._signups[touch], self._visits[touch] = expected, visits

    def arrivals(self, day: int) -> pa.Table | None:
        """Cost of the day, reported in the evening, and corrections of earlier days."""
        rows = [self._first_state(spend, day) for spend in self._spent(day)]
        rows += self._later.pop(day, [])
        if not rows:
            return None
        return pa.table(
            {
                "spend_date": pa.array([self._calendar.date(row.day) for row in rows], pa.date32()),
                "utm_source": pa.array([TOUCHES[row.touch].utm_source for row in rows], pa.string()),
                "utm_medium": pa.array([TOUCHES[row.touch].utm_medium for row in rows], pa.string()),
                "utm_campaign": pa.array([TOUCHES[row.touch].utm_campaign for row in rows], pa.string()),
                "cost": money(np.array([row.cents for row in rows])),
                "currency": pa.array([TOUCHES[row.touch].currency for row in rows], pa.string()),
                "impressions": pa.array([row.impressions for row in rows], pa.int64()),
                "clicks": pa.array([row.clicks for row in rows], pa.int64()),
                "updated_at": timestamps(np.array([row.updated for row in rows])),
            }
        )

    def _spent(self, day: int) -> Iterator["_Spend"]:
        """Final cost of each paid campaign on the day."""
        rng = stream(self._seed, "marketing.spend", day)
        for touch in self._paid:
            noise = rng.lognormal(-0.005, 0.1)
            clicks = int(rng.poisson(self._visits[touch][day] * _CLICKS_PER_VISIT))
            impressions = clicks + int(rng.poisson((clicks + 1) / _CLICK_RATE))
            cost_cny = (p.CHANNELS[TOUCH_CHANNEL[touch]].cost_per_signup_cny or 0.0) * self._signups[touch][day] * noise
            if clicks or cost_cny:
                cents = round(cost_cny * self._per_unit(touch, day) * 100)
                yield _Spend(day, touch, cents, impressions, clicks, self._evening(day))

    def _first_state(self, spend: "_Spend", day: int) -> "_Spend":
        """The state reported on the day itself: some figures are 10 % too low and corrected within days."""
        rng = stream(self._seed, f"marketing.corrections.{spend.touch}", day)
        first, wait = spend, math.ceil(rng.uniform(*p.CORRECTION_DAYS))
        channel, per_unit = p.CHANNELS[TOUCH_CHANNEL[spend.touch]].name, self._per_unit(spend.touch, day)
        latest = spend
        if rng.random() < p.SPEND_CORRECTION_RATE:
            first = replace(spend, cents=spend.cents * 9 // 10, clicks=spend.clicks * 9 // 10)
            self._later[day + wait].append(replace(spend, updated=self._evening(day + wait)))
            if rng.random() < p.STALE_STATE_RATE:
                self._later[day + wait + 1].append(first)
            if day + wait < self._calendar.days:
                self.corrections += 1
            else:
                latest = first
        self.spend_cny[channel] += round(latest.cents / per_unit)
        return first

    def _per_unit(self, touch: int, day: int) -> float:
        return self._rates.of(day, "CNY") if TOUCHES[touch].currency == "USD" else 1.0

    def _evening(self, day: int) -> int:
        return int(self._calendar.start(day + 1)) - 2 * HOUR


@dataclass(frozen=True)
class _Spend:
    """A reported state of one campaign's cost on a day."""

    day: int
    touch: int
    cents: int
    impressions: int
    clicks: int
    updated: int
