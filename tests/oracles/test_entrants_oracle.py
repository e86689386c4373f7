"""The oracle of entrants against examples worked out by hand."""
# ruff: noqa: DTZ001 - timestamps of the lake are naive UTC

from datetime import date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from tests.oracles.entrants import Entrants
from tests.oracles.persons import people
from tests.oracles.reporting import Reporting

START = datetime(2024, 2, 29, 4)
REPORTING = Reporting(ZoneInfo("Asia/Shanghai"), date(2024, 3, 2))
PLACE = {"arrived_date": date(2024, 3, 1), "landed_file": "a", "landed_row": 1}


def state(subscription: str, hours: float, plan: str, mrr: str, status: str = "active", **more) -> dict:
    row = {"subscription_id": subscription, "account_id": "c1", "plan": plan, "mrr": Decimal(mrr), "currency": "USD"}
    return {**row, "changed_at": START + timedelta(hours=hours), "status": status, **PLACE, **more}


FACTS = {
    "events": [
        {"event_id": f"e{number}", "event": "x", "user_id": "u1", "occurred_at": START + after, **touch, **PLACE}
        for number, (after, touch) in enumerate(
            [
                (timedelta(0), {"utm_source": "newsletter", "device_type": "mobile", "city_tier": 2}),
                (timedelta(minutes=30), {"device_type": "tablet"}),
                (timedelta(hours=2), {"device_type": "desktop", "country": "DE"}),
            ]
        )
    ],
    "users": [{"user_id": "u1", "account_id": "c1", "signed_up_at": START + timedelta(days=1), "role": "owner", **PLACE}],
    "accounts": [{"account_id": "c1", "created_at": START, "industry": "retail", **PLACE}],
    "subscriptions": [
        state("s2", 1, "professional", "10", "trialing"),
        state("s1", 2, "enterprise", "10", "past_due"),
        state("s3", 2, "custom", "99", account_id="c2"),
        state("s3", 3, "custom", "6", currency="EUR"),
        state("s3", 4, "custom", "6", "canceled"),
        state("s1", 5, "free", "0"),
    ],
    "fx_rates": [{"rate_date": date(2024, 2, 1), "currency": "EUR", "usd_rate": Decimal(2), **PLACE}],
}


@pytest.mark.parametrize(
    ("hours", "touch", "plan"),
    [
        (-0.001, ("(none)", "(none)", "(none)", "(none)"), "(none)"),
        (0, ("email", "mobile", "(none)", "2"), "(none)"),
        (1, ("email", "mobile", "(none)", "2"), "professional"),
        # Of two plans of one size the smaller subscription's, then the larger one's, though it is of fewer euros.
        (2, ("direct", "desktop", "DE", "(none)"), "enterprise"),
        (3, ("direct", "desktop", "DE", "(none)"), "custom"),
        (4, ("direct", "desktop", "DE", "(none)"), "enterprise"),
        (5, ("direct", "desktop", "DE", "(none)"), "professional"),
    ],
)
def test_an_entrant_is_what_it_was_at_the_instant(hours: float, touch: tuple[str, ...], plan: str) -> None:
    person = people(FACTS, REPORTING).persons["u:u1"]
    segments = dict(Entrants(FACTS, REPORTING).segments(person, START + timedelta(hours=hours)))
    assert tuple(segments[name] for name in ("channel", "device", "country", "city_tier")) == touch
    assert (segments["plan"], segments["role"], segments["industry"], segments["all"]) == (plan, "owner", "retail", "all")


def test_of_a_visitor_without_an_account_nothing_more_is_known() -> None:
    facts = FACTS | {"users": []}
    person = people(facts, REPORTING).persons["u:u1"]
    segments = dict(Entrants(facts, REPORTING).segments(person, START + timedelta(hours=3)))
    assert [segments[name] for name in ("channel", "plan", "role", "industry")] == ["direct", "(none)", "(none)", "(none)"]
