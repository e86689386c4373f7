"""The simulated company: its participants, the order of its day, and the planted truth.

Belongs here: the list of sources, and the truth. Does not belong here: the rows of each source, and files (`zone`).
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict

import numpy as np
import pyarrow as pa

from orchestration.simulator import parameters as p
from orchestration.simulator.activity import WARM_UP_DAYS, Activity
from orchestration.simulator.billing import Billing
from orchestration.simulator.clock import NEVER, Calendar
from orchestration.simulator.events import Collector
from orchestration.simulator.experiments import Experiments
from orchestration.simulator.feedback import Feedback
from orchestration.simulator.marketing import Advertising, Rates
from orchestration.simulator.outcomes import Outcomes
from orchestration.simulator.people import BOT, INTERNAL, PAYING_BASE, PLATFORM, SHOP, TOUCH_CHANNEL, People, build_people
from orchestration.simulator.registry import Registry
from orchestration.simulator.shop import Shop
from orchestration.simulator.support import Support
from orchestration.simulator.surveys import Surveys
from orchestration.simulator.visits import Visits
from orchestration.simulator.wecom import WeCom


class Company:
    """The whole company, advanced one day at a time."""

    def __init__(self, calendar: Calendar, users: int, seed: int, timezone: str, constant_churn: float | None = None) -> None:
        self._calendar, self._users, self._seed, self._timezone = calendar, users, seed, timezone
        self._constant_churn = constant_churn
        self._people = build_people(calendar, users, seed)
        self._activity = Activity(calendar, self._people, seed)
        self._support = Support(calendar, self._people, seed)
        self._billing = Billing(calendar, self._people, seed, constant_churn)
        self._surveys = Surveys(calendar, self._people, seed)
        self._feedback = Feedback(calendar, self._people, seed)
        self._outcomes = Outcomes(calendar, self._people, self._billing, seed)
        self._visits = Visits(calendar, self._people, seed)
        self._shop = Shop(calendar, self._people, seed)
        self._registry = Registry(calendar, self._people, seed)
        self._experiments = Experiments(calendar, self._people, seed)
        self._wecom = WeCom(calendar, self._people, seed)
        self._rates = Rates(calendar, seed)
        self._advertising = Advertising(calendar, self._people, self._rates, seed)
        self._collector = Collector(calendar, self._people, seed)
        # Functions that return a source's arrivals of a day; `events` come first.
        self._sources: dict[str, Callable[[int], pa.Table | None]] = {
            "users": self._registry.users,
            "accounts": self._registry.accounts,
            "subscriptions": self._billing.ledger.subscriptions,
            "payments": self._payments,
            "orders": self._shop.orders,
            "ad_spend": self._advertising.arrivals,
            "tickets": self._support.tickets,
            "surveys": self._surveys.surveys,
            "feedback": self._feedback.feedback,
            "wecom": self._wecom.wecom,
            "outcomes": self._outcomes.outcomes,
            "exposures": self._experiments.exposures,
            "fx_rates": self._rates.arrivals,
            "erasures": self._registry.erasures,
        }

    def found(self) -> None:
        """Simulate the time before the first day."""
        self._billing.found()
        for day in range(-WARM_UP_DAYS, 0):
            self._activity.step(day, self._billing.paying, self._billing.canceled)
            self._support.step(day, self._billing.paying)

    def live(self, day: int) -> Iterator[tuple[str, pa.Table]]:
        """Advance to the next day and yield its arrivals by source; sources without arrivals are skipped."""
        active = self._activity.step(day, self._billing.paying, self._billing.canceled)
        self._support.step(day, self._billing.paying)
        self._billing.step(day, self._activity, self._support)
        self._surveys.step(day, active, self._support.arrived, self._billing.churn_logit)
        self._feedback.step(day, active, self._billing.churn_logit)
        landed = self._collector.arrive(day, self._visits.day(day) + self._activity.events(day, active) + self._shop.events(day))
        if landed is not None:
            yield "events", self._collector.encode(landed)
        for source, arrivals in self._sources.items():
            table = arrivals(day)
            if table is not None:
                yield source, table

    def _payments(self, day: int) -> pa.Table | None:
        tables = [table for table in (self._billing.ledger.payments(day), self._shop.refunds(day)) if table is not None]
        return pa.concat_tables(tables) if tables else None

    def truth(self) -> dict[str, object]:
        """The planted parameters and the realised counts, after the last day."""
        self._collector.close()
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
                "constant_churn": self._constant_churn,
            },
            "parameters": _plain(p.parameters()),
            "channels": [asdict(channel) for channel in p.CHANNELS],
            "bad_week": None
            if bad_week is None
            else [calendar.date(bad_week[0]).isoformat(), calendar.date(bad_week[1] - 1).isoformat()],
            "events": {**dict(sorted(self._collector.realised.items())), "resent_event": self._collector.resent_event},
            "identity": self._collector.identity_truth(),
            "bots": [
                {
                    "anonymous_id": self._collector.anonymous_id(int(people.first_device[person])),
                    "dates": [calendar.date(day).isoformat() for day in days],
                }
                for person, days in sorted(self._visits.bot_days.items())
            ],
            "internal_user_ids": users,
            "acquisition": self._acquisition(),
            "spend_corrections": self._advertising.corrections,
            "plg_reached": self._reached(),
            "customers_from_before": {
                "paying_accounts": int((people.account_kind == PAYING_BASE).sum()),
                "platform_users": int(((people.kind == PLATFORM) & (people.first_seen == NEVER)).sum()),
                "shop_customers": int(((people.kind == SHOP) & (people.first_seen < calendar.start(0))).sum()),
            },
            "billing": dict(sorted(self._billing.realised.items())),
            "churn": self._billing.churn_truth(),
            "shop": dict(sorted(self._shop.realised.items())),
            "tickets": dict(sorted(self._support.realised.items())),
            "surveys": dict(sorted(self._surveys.realised.items())),
            "feedback": self._feedback.truth(),
            "wecom": dict(sorted(self._wecom.realised.items())),
            "outcomes": dict(sorted(self._outcomes.realised.items())),
            "experiments": self._experiments.truth(),
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
    """Convert the value to JSON types; tuples as keys become text."""
    if isinstance(value, dict):
        return {"/".join(key) if isinstance(key, tuple) else str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
