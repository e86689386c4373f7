"""Money outside the product: advertising cost by day and campaign, and exchange rates.

Belongs here: `ad_spend`, `fx_rates`. Does not belong here: the visits that the advertising brings (`people`).
"""

from collections import Counter
from datetime import date

import numpy as np
import pyarrow as pa

from orchestration.simulator import parameters as p
from orchestration.simulator.clock import HISTORY_DAYS, NEVER, Calendar, Floats, stream
from orchestration.simulator.files import money
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
        """Give the day's rates; with the first day all from before."""
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
    """Cost of each paid campaign: what its visits would sign up times the planted cost per sign-up, with daily noise."""

    def __init__(self, calendar: Calendar, people: People, rates: Rates, seed: int) -> None:
        self._calendar, self._rates, self._seed = calendar, rates, seed
        self.spend_cny: Counter[str] = Counter()
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
        """Cost of the day, reported in its evening."""
        rng = stream(self._seed, "marketing.spend", day)
        rows: list[tuple[date, str | None, str | None, str | None, int, str, int, int]] = []
        for touch in self._paid:
            noise = rng.lognormal(-0.005, 0.1)
            clicks = int(rng.poisson(self._visits[touch][day] * _CLICKS_PER_VISIT))
            impressions = clicks + int(rng.poisson((clicks + 1) / _CLICK_RATE))
            campaign, channel = TOUCHES[touch], p.CHANNELS[TOUCH_CHANNEL[touch]]
            cost_cny = (channel.cost_per_signup_cny or 0.0) * self._signups[touch][day] * noise
            if not clicks and not cost_cny:
                continue
            per_unit = self._rates.of(day, "CNY") if campaign.currency == "USD" else 1.0
            cents = round(cost_cny * per_unit * 100)
            self.spend_cny[channel.name] += round(cents / per_unit)
            rows.append(
                (
                    self._calendar.date(day),
                    campaign.utm_source,
                    campaign.utm_medium,
                    campaign.utm_campaign,
                    cents,
                    campaign.currency,
                    impressions,
                    clicks,
                )
            )
        if not rows:
            return None
        spend_date, source, medium, name, cost, currency, impressions_, clicks_ = zip(*rows, strict=True)
        return pa.table(
            {
                "spend_date": pa.array(spend_date, pa.date32()),
                "utm_source": pa.array(source, pa.string()),
                "utm_medium": pa.array(medium, pa.string()),
                "utm_campaign": pa.array(name, pa.string()),
                "cost": money(np.array(cost)),
                "currency": pa.array(currency, pa.string()),
                "impressions": pa.array(impressions_, pa.int64()),
                "clicks": pa.array(clicks_, pa.int64()),
            }
        )
