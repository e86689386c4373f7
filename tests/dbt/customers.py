"""Random customers: what a few accounts subscribe, do, ask and answer over a quarter, much of it late, some of it twice.

Belongs here: landed rows about accounts for the models that look at them as of a day. Does not belong here: rows for the other
marts (`facts`), and what any model makes of them.
"""
# ruff: noqa: DTZ001 - timestamps of the lake are naive UTC

from datetime import date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from tests.dbt.facts import Rows, event, landed, utc

FIRST_DAY = date(2023, 12, 20)
LAST_DAY = date(2024, 4, 12)
DAYS = (LAST_DAY - FIRST_DAY).days
ACCOUNTS = ("c1", "c2", "c3", "c4")
EVENT_NAMES = {"asked": "match_requested"}
_EVENTS = ("logged_in", "feature_used", "feature_used", "asked", "value_achieved", "x")
_FEATURES = (None, "board", "export", "chat", "plan", "map", "sync")
_LAGS = (0, 1, 1, 1, 1, 2, 9, 40)


def customers(rng: Random, zone: ZoneInfo, bot_events_per_day: int) -> dict[str, Rows]:
    """Landed rows of all sources that say something about an account; each may be missing altogether, but subscriptions."""
    facts = {
        "subscriptions": _subscriptions(rng, zone),
        "events": _events(rng, zone, bot_events_per_day),
        "users": _users(rng, zone),
        "payments": _payments(rng, zone),
        "tickets": _tickets(rng, zone),
        "outcomes": _outcomes(rng, zone),
        "surveys": _surveys(rng, zone),
        "feedback": _feedback(rng, zone),
    }
    for source in ("events", "users", "payments", "tickets", "outcomes", "surveys", "feedback"):
        if not rng.randrange(8):
            del facts[source]
    facts["fx_rates"] = [
        landed({"rate_date": day, "currency": currency, "usd_rate": Decimal(rate)}, number, day + timedelta(days=lag))
        for number, (day, currency, rate, lag) in enumerate(
            [
                (date(2023, 7, 1), "CNY", "0.14", 0),
                (date(2023, 7, 1), "EUR", "1.0842", 0),
                (date(2024, 2, 26), "CNY", "0.15012345", 8),
                (date(2024, 3, 4), "CNY", "0.13", 1),
            ]
        )
    ]
    return facts


def at(rng: Random, zone: ZoneInfo, day: date | None = None) -> datetime:
    """A moment of a day, often at one of its ends."""
    day = day or FIRST_DAY + timedelta(days=rng.randrange(DAYS))
    seconds = rng.choice((0, 0, 1, 86_399, rng.randrange(86_400), rng.randrange(86_400)))
    return utc(zone, datetime(day.year, day.month, day.day) + timedelta(seconds=seconds))


def arrive(rng: Random, row: dict[str, Any], number: int, happened: datetime, **later: Any) -> Rows:
    """The row as it landed, perhaps late, perhaps again, and then perhaps in the state that it came to `later`."""
    arrived = max(happened.date(), FIRST_DAY) + timedelta(days=rng.choice(_LAGS))
    rows = [landed(row, number, arrived)]
    if not rng.randrange(4):
        again = {**row, **later} if rng.randrange(3) else row
        rows.append(landed(again, number, arrived + timedelta(days=rng.choice((0, 3, 20))), "z.parquet"))
    return rows


def whose(rng: Random) -> dict[str, str | None]:
    """The account that a row names, or the user through whom it belongs to one, or both, or nobody known."""
    return {
        "account_id": rng.choice((None, None, *ACCOUNTS)),
        "user_id": rng.choice((None, "u1", "u2", "u3", "u4", "u5")),
    }


def _subscriptions(rng: Random, zone: ZoneInfo) -> Rows:
    rows: Rows = []
    for number in range(rng.randrange(6, 16)):
        subscription = rng.randrange(1, 6)
        changed_at = at(rng, zone, FIRST_DAY + timedelta(days=rng.choice((0, 0, rng.randrange(DAYS)))))
        row = {
            "subscription_id": f"s{subscription}",
            "account_id": ACCOUNTS[subscription % len(ACCOUNTS)],
            "changed_at": changed_at,
            "plan": "professional",
            "billing_interval": rng.choice((None, "month", "year")),
            "mrr": rng.choice((Decimal(0), Decimal("33.3333"), Decimal(50), Decimal(700))),
            "currency": rng.choice(("USD", "CNY", "EUR")),
            "status": rng.choice(("active", "active", "active", "past_due", "trialing", "canceled")),
            "seats": rng.choice((None, 0, 1, 3, 5)),
            "renews_at": rng.choice((None, changed_at + timedelta(days=30), changed_at + timedelta(days=120))),
        }
        rows += arrive(rng, row, number, changed_at)
    return rows


def _events(rng: Random, zone: ZoneInfo, bot_events_per_day: int) -> Rows:
    rows: Rows = []

    def add(account: str | None, moment: datetime, user: str | None, device: str | None, arrived: date | None = None) -> None:
        number, name = len(rows), rng.choice(_EVENTS)
        row = event(number, name, moment, anonymous_id=device, user_id=user, account_id=account, feature=rng.choice(_FEATURES))
        rows.extend(arrive(rng, row, number, moment) if arrived is None else [row | {"arrived_date": arrived}])

    for account in (*ACCOUNTS, None):
        users = [(None, "a1"), (f"u{account}", None), (f"u{account}", "a2"), ("u1", None)]
        for _ in range(rng.randrange(4)):
            # Days in a row, some with several sessions.
            first = rng.randrange(DAYS)
            for day in range(first, min(first + rng.choice((1, 2, 6, 20)), DAYS)):
                user, device = rng.choice(users)
                moment = at(rng, zone, FIRST_DAY + timedelta(days=day))
                for _ in range(rng.choice((1, 1, 2, 4))):
                    add(account, moment, user, device)
                    moment += timedelta(seconds=rng.choice((0, 60, 1_800, 1_801, 2_700, 2_701)))
    for _ in range(2):
        # As many as a person can do in a day, and one more that arrives later.
        moment, account = at(rng, zone), rng.choice(ACCOUNTS)
        for number in range(bot_events_per_day + rng.choice((0, 1))):
            arrived = moment.date() + timedelta(days=1 if number < bot_events_per_day else rng.choice((1, 12)))
            add(account, moment + timedelta(microseconds=number), f"u{account}", None, arrived)
    return rows


def _users(rng: Random, zone: ZoneInfo) -> Rows:
    rows: Rows = []
    for number in range(rng.randrange(1, 10)):
        updated_at = at(rng, zone)
        row = {
            "user_id": f"u{rng.randrange(1, 6)}",
            "account_id": rng.choice((None, *ACCOUNTS)),
            "signed_up_at": datetime(2023, 12, 1),
            "updated_at": rng.choice((None, updated_at)),
        }
        rows.append(landed(row, number, updated_at.date() + timedelta(days=rng.choice(_LAGS))))
    return rows


def _payments(rng: Random, zone: ZoneInfo) -> Rows:
    rows: Rows = []
    for number in range(rng.randrange(12)):
        paid_at = at(rng, zone)
        row = {
            "payment_id": f"p{number}",
            "account_id": rng.choice((None, *ACCOUNTS)),
            "user_id": "u1",
            "paid_at": paid_at,
            "amount": Decimal(10),
            "currency": "USD",
            "status": rng.choice(("failed", "failed", "succeeded")),
        }
        rows += arrive(rng, row, number, paid_at, status="succeeded")
    return rows


def _tickets(rng: Random, zone: ZoneInfo) -> Rows:
    rows: Rows = []
    for number in range(rng.randrange(1, 25)):
        opened_at = at(rng, zone)
        responded_at = rng.choice((None, opened_at + timedelta(hours=rng.choice((0, 2, 30)))))
        resolved_at = rng.choice((None, opened_at + timedelta(days=rng.choice((0, 1, 5, 60)), hours=1)))
        row = {
            "ticket_id": f"t{number}",
            **whose(rng),
            "opened_at": opened_at,
            "first_response_at": responded_at,
            "resolved_at": resolved_at,
            "contacts": rng.choice((None, 0, 1, 4)),
            "severity": rng.choice((None, "low", "normal", "High", "URGENT")),
        }
        rows += arrive(rng, row, number, opened_at, resolved_at=opened_at + timedelta(days=3), severity="urgent")
    return rows


def _outcomes(rng: Random, zone: ZoneInfo) -> Rows:
    rows: Rows = []
    for number in range(rng.randrange(1, 12)):
        measured_at = at(rng, zone)
        row = {
            "account_id": rng.choice(ACCOUNTS),
            "measured_at": measured_at + timedelta(microseconds=number),
            "expected_roi": rng.choice((None, Decimal(0), Decimal("1.5"), Decimal("2.000001"))),
            "actual_roi": rng.choice((None, Decimal("-0.5"), Decimal("1.2"), Decimal("2.000001"))),
            "efficiency_gain": rng.choice((None, Decimal("-0.1"), Decimal("0.07"), Decimal("0.4"))),
        }
        rows += arrive(rng, row, number, measured_at)
    return rows


def _surveys(rng: Random, zone: ZoneInfo) -> Rows:
    rows: Rows = []
    for number in range(rng.randrange(1, 16)):
        responded_at, kind = at(rng, zone), rng.choice(("nps", "nps", "csat"))
        score = rng.choice((0, 7, 8, 9, 10, 10)) if kind == "nps" else rng.choice((0, 1, 3, 5, 6))
        row = {"response_id": f"r{number}", **whose(rng), "responded_at": responded_at, "kind": kind, "score": score}
        rows += arrive(rng, row, number, responded_at, score=4, responded_at=responded_at + timedelta(days=9))
    return rows


def _feedback(rng: Random, zone: ZoneInfo) -> Rows:
    rows: Rows = []
    for number in range(rng.randrange(1, 10)):
        created_at = at(rng, zone)
        answered_at = rng.choice((None, created_at + timedelta(hours=1), created_at + timedelta(days=40)))
        row = {"feedback_id": f"f{number}", **whose(rng), "created_at": created_at, "text": "x", "answered_at": answered_at}
        rows += arrive(rng, row, number, created_at, answered_at=created_at + timedelta(days=2))
    return rows
