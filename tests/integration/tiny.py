"""Tiny companies: a few landed rows each, and nights over them in this process."""

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import chdir
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from orchestration.config.loading import load
from tests import stages
from tests.conftest import environment_of
from tests.integration.conftest import ask, current

if TYPE_CHECKING:
    from expectations.report import GateReport

FIRST = date(2026, 3, 2)

Row = Mapping[str, Any]


@dataclass
class Company:
    """One home with its landing zone, which grows by arrival days."""

    home: Path
    report: "GateReport | None" = field(default=None, init=False)

    def land(self, source: str, day: date, rows: Sequence[Row], *, name: str = "part") -> None:
        path = self.home / "landing" / source / f"dt={day}" / f"{name}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

    def configure(self, text: str) -> None:
        (self.home / "northstar.toml").write_text(text, encoding="utf-8")

    def night(self, **plan: Any) -> dict[str, Any]:
        """Run the stages of a night; the manifest of what it published. Raises what the night raises."""
        from orchestration.night.run import Night

        with patch.dict(os.environ, environment_of(self.home), clear=True), chdir(self.home), Night(load()) as night:
            stages.build(night, **plan)
            self.report = stages.publish(night)
        return self.manifest

    @property
    def manifest(self) -> dict[str, Any]:
        return current(self.home)

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        return ask(self.home, sql)


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
