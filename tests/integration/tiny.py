"""Tiny companies: a few landed rows each, and nights over them in this process."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestration.config.loading import load
from tests import stages
from tests.integration.conftest import ask, at_home, current

if TYPE_CHECKING:
    from expectations.report import GateReport

FIRST = date(2026, 3, 2)
FUNNEL = ("product_viewed", "cart_added", "checkout_started", "order_placed")

Row = Mapping[str, Any]


class _Warnings(logging.Handler):
    """Keeps what a night warned of."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


@dataclass
class Company:
    """One home with its landing zone, which grows by arrival days."""

    home: Path
    report: "GateReport | None" = field(default=None, init=False)
    warned: list[str] = field(default_factory=list, init=False)

    def land(self, source: str, day: date, rows: Sequence[Row], *, name: str = "part") -> None:
        path = self.home / "landing" / source / f"dt={day}" / f"{name}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

    def configure(self, text: str) -> None:
        (self.home / "northstar.toml").write_text(text, encoding="utf-8")

    def night(self, **plan: Any) -> dict[str, Any]:
        """Run the stages of a night; the manifest of what it published. Raises what the night raises."""
        from orchestration.night.run import Night

        logger, watching = logging.getLogger("northstar.night"), _Warnings()
        with at_home(self.home), Night(load()) as night:
            logger.addHandler(watching)
            try:
                stages.build(night, **plan)
                self.report = stages.publish(night)
            finally:
                logger.removeHandler(watching)
        self.warned = watching.messages
        return self.manifest

    @property
    def manifest(self) -> dict[str, Any]:
        return current(self.home)

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        return ask(self.home, sql)


def land_all(company: Company) -> None:
    """One day of all kinds of facts."""
    company.land("users", FIRST, [user(FIRST, i) for i in range(4)])
    company.land("subscriptions", FIRST, [subscription(FIRST, i) for i in range(3)])
    company.land("payments", FIRST, [payment(FIRST, i) for i in range(3)])
    company.land("orders", FIRST, [order(FIRST, i) for i in range(3)])
    spend = {"spend_date": str(FIRST), "utm_source": "google", "utm_medium": "cpc", "cost": 10, "currency": "USD"}
    company.land("ad_spend", FIRST, [spend])
    company.land("events", FIRST, [event(FIRST, i, name) for i in range(4) for name in FUNNEL[: i + 1]])


def land_refunds(company: Company) -> None:
    """The day after: refunds of its orders among the payments, one of an order that came back and two of no known order."""
    day = FIRST + timedelta(days=1)
    refund = {"account_id": None, "kind": "order", "status": "refunded", "amount": 4}
    named = {0: {"refund_of": f"o-{FIRST}-0"}, 1: {"order_id": f"o-{FIRST}-1"}, 2: {"order_id": "not-landed"}, 3: {}}
    company.land("payments", day, [payment(day, i, user_id=f"u{i}", **refund, **link) for i, link in named.items()])
    company.land("orders", day, [order(FIRST, 1, status="returned", refunded_amount=10, updated_at=f"{day}T12:00:00Z")])
    company.land("events", day, [event(day, i) for i in range(4)])


def days(count: int, first: date = FIRST) -> list[date]:
    return [first + timedelta(days=number) for number in range(count)]


def event(day: date, number: int, name: str = "page_viewed", hour: int = 10, **more: Any) -> Row:
    return {
        "event_id": f"{day}-{name}-{number}-{hour}",
        "event": name,
        "occurred_at": f"{day}T{hour:02}:{number % 60:02}:00Z",
        "user_id": f"u{number}",
        **more,
    }


def order(day: date, number: int, **more: Any) -> Row:
    return {
        "order_id": f"o-{day}-{number}",
        "user_id": f"u{number}",
        "ordered_at": f"{day}T11:00:00Z",
        "amount": 10,
        "currency": "USD",
        **more,
    }


def subscription(day: date, number: int, status: str = "active", **more: Any) -> Row:
    return {
        "subscription_id": f"s{number}",
        "account_id": f"a{number}",
        "changed_at": f"{day}T08:00:00Z",
        "plan": "professional",
        "billing_interval": "month",
        "mrr": 100,
        "currency": "USD",
        "status": status,
        **more,
    }


def payment(day: date, number: int, **more: Any) -> Row:
    return {
        "payment_id": f"p-{day}-{number}",
        "account_id": f"a{number}",
        "paid_at": f"{day}T09:00:00Z",
        "kind": "subscription",
        "amount": 100,
        "currency": "USD",
        "status": "succeeded",
        **more,
    }


def user(day: date, number: int, **more: Any) -> Row:
    return {
        "user_id": f"u{number}",
        "account_id": f"a{number}",
        "signed_up_at": f"{day}T07:00:00Z",
        "updated_at": f"{day}T07:00:00Z",
        **more,
    }
