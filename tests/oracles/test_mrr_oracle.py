"""The oracle of monthly recurring revenue against examples worked out by hand."""
# ruff: noqa: DTZ001 - timestamps of the lake are naive UTC

from datetime import date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from tests.oracles.mrr import MEASURES, account_profiles, mrr_months, state_on
from tests.oracles.reporting import Reporting

REPORTING = Reporting(ZoneInfo("Asia/Shanghai"), date(2024, 5, 31))
MONTHS = [date(2024, month, 1) for month in range(1, 6)]


def change(subscription: str, day: date, mrr: str, status: str = "active", **more) -> dict:
    """A change at eight in the morning, Shanghai time; the subscription's account bears its first letter."""
    row = {
        "subscription_id": subscription,
        "account_id": subscription[0],
        "changed_at": datetime(day.year, day.month, day.day),
        "plan": "professional",
        "mrr": Decimal(mrr),
        "currency": "USD",
        "status": status,
    }
    return {**row, **more, "arrived_date": day, "landed_file": "a", "landed_row": 1}


def figures(rows: dict, *names: str, segment: tuple[str, str] = ("all", "all")) -> list[tuple]:
    """The named measures of a segment by month, as whole dollars."""
    return [tuple(int(rows[month, *segment][f"{name}_mrr"]) for name in names) for month in MONTHS if (month, *segment) in rows]


# January: a subscribes. February: a doubles, b comes. March: a leaves. April: nothing. May: a is back, b pays less.
HISTORY = [
    change("a", date(2024, 1, 15), "100"),
    change("a", date(2024, 2, 1), "200"),
    change("b", date(2024, 2, 28), "50", "past_due"),
    change("a", date(2024, 3, 31), "0", "canceled"),
    change("a", date(2024, 5, 1), "70"),
    change("b", date(2024, 5, 2), "20"),
]


def test_every_change_is_one_movement() -> None:
    rows = mrr_months({"subscriptions": HISTORY}, REPORTING)
    assert figures(rows, *MEASURES) == [
        (0, 100, 0, 0, 0, 0, 0, 100),
        (100, 50, 0, 100, 0, 0, 0, 250),
        (250, 0, 0, 0, 0, 200, 0, 50),
        (50, 0, 0, 0, 0, 0, 0, 50),
        (50, 0, 70, 0, 30, 0, 0, 90),
    ]
    march, may = rows[MONTHS[2], "all", "all"], rows[MONTHS[4], "all", "all"]
    assert (march["nrr_rate"], march["grr_rate"], march["logo_churn_rate"], march["arpa"]) == (0.2, 0.2, 0.5, 50)
    assert (may["closing_account_count"], may["quick_ratio"]) == (2, pytest.approx(70 / 30))
    assert rows[MONTHS[1], "all", "all"]["nrr_rate"] == 2
    assert rows[MONTHS[0], "all", "all"]["nrr_rate"] is None


def test_the_plan_of_the_largest_subscription_carries_the_account_along() -> None:
    """100 professional, from March 300 enterprise beside it; from April they are equal, and the smaller id names the plan."""
    history = [
        change("a1", date(2024, 1, 15), "100"),
        change("a2", date(2024, 3, 15), "300", plan="enterprise"),
        change("a2", date(2024, 4, 15), "100", plan="enterprise"),
    ]
    rows = mrr_months({"subscriptions": history}, Reporting(REPORTING.timezone, date(2024, 4, 30)))
    names = ("opening", "new", "expansion", "contraction", "transferred", "closing")
    assert figures(rows, *names, segment=("plan", "professional")) == [
        (0, 100, 0, 0, 0, 100),
        (100, 0, 0, 0, 0, 100),
        (100, 0, 0, 0, -100, 0),
        (0, 0, 0, 200, 400, 200),
    ]
    assert figures(rows, *names, segment=("plan", "enterprise")) == [(0, 0, 300, 0, 100, 400), (400, 0, 0, 0, -400, 0)]
    assert rows[MONTHS[3], "plan", "professional"]["grr_rate"] == 0.5
    assert rows[MONTHS[2], "plan", "enterprise"]["nrr_rate"] == 4
    assert rows[MONTHS[2], "plan", "professional"]["nrr_rate"] is None


def test_a_rate_holds_as_long_as_the_subscription_is_paid_in_its_currency() -> None:
    history = [
        change("a", date(2024, 1, 15), "100", currency="CNY"),
        change("a", date(2024, 2, 15), "100", currency="CNY"),
        change("a", date(2024, 3, 15), "300", currency="CNY"),
        change("a", date(2024, 4, 15), "0", "canceled", currency="CNY"),
        change("a", date(2024, 5, 15), "300", currency="CNY"),
    ]
    rates = [
        {"rate_date": date(2024, month, 1), "currency": "CNY", "usd_rate": Decimal(month) / 10}
        | {"arrived_date": date(2024, 1, 1), "landed_file": "a", "landed_row": month}
        for month in range(1, 6)
    ]
    rows = mrr_months({"subscriptions": history, "fx_rates": rates}, REPORTING)
    assert figures(rows, "expansion", "contraction", "closing") == [(0, 0, 10), (0, 0, 10), (20, 0, 30), (0, 0, 0), (0, 0, 150)]
    last, since = state_on(history, date(2024, 4, 14), REPORTING)
    assert (last["mrr"], since) == (300, date(2024, 1, 15))
    assert state_on(history, date(2024, 4, 15), REPORTING) is None


@pytest.mark.parametrize(("hours", "closing"), [(15, 50), (16, 0)])
def test_the_first_midnight_of_a_month_belongs_to_it(hours: int, closing: int) -> None:
    """16:00 UTC is midnight in Shanghai: a change at it is none of January's."""
    at = datetime(2024, 1, 31) + timedelta(hours=hours)
    rows = mrr_months({"subscriptions": [change("b", date(2024, 1, 1), "50", changed_at=at)]}, REPORTING)
    assert sum(row["closing_mrr"] for key, row in rows.items() if key == (MONTHS[0], "all", "all")) == closing


def test_a_trial_and_what_ends_in_its_month_show_nothing() -> None:
    history = [
        change("a", date(2024, 1, 3), "100", "trialing"),
        change("b", date(2024, 2, 3), "100"),
        change("b", date(2024, 2, 20), "0", "canceled"),
        change("c", date(2024, 3, 3), "0", plan="free"),
    ]
    rows = mrr_months({"subscriptions": history}, REPORTING)
    assert {key: row["closing_mrr"] for key, row in rows.items()} == {(MONTHS[4], "all", "all"): 0}


def test_the_running_month_is_shown_without_rates() -> None:
    rows = mrr_months({"subscriptions": HISTORY}, Reporting(REPORTING.timezone, date(2024, 5, 1)))
    may = rows[MONTHS[4], "all", "all"]
    assert (may["is_complete"], may["reactivation_mrr"], may["contraction_mrr"], may["closing_mrr"]) == (False, 70, 0, 120)
    assert (may["nrr_rate"], may["quick_ratio"], may["arpa"]) == (None, None, 60)


def test_an_account_is_where_its_founder_came_from_and_internal_when_all_its_members_are() -> None:
    place = {"arrived_date": date(2024, 1, 1), "landed_file": "a", "landed_row": 1}
    users = [
        {"user_id": user, "account_id": account, "signed_up_at": datetime(2024, 1, day), "is_internal": staff, "country": land}
        for user, account, day, staff, land in [
            ("u1", "a", 2, False, "CN"),
            ("u2", "a", 1, True, "DE"),
            ("u3", "b", 1, True, None),
        ]
    ]
    facts = {
        "users": [{**user, **place} for user in users],
        "accounts": [{"account_id": "b", "created_at": datetime(2024, 1, 1), "industry": "retail", "country": "US", **place}],
        "subscriptions": [change("a", date(2024, 1, 3), "10"), change("b", date(2024, 1, 3), "100")],
    }
    assert account_profiles(facts, REPORTING) == {
        "a": {"channel": None, "country": "DE", "industry": None, "is_internal": False},
        "b": {"channel": None, "country": "US", "industry": "retail", "is_internal": True},
    }
    rows = mrr_months(facts, REPORTING)
    assert {key[1:]: row["closing_mrr"] for key, row in rows.items() if key[0] == MONTHS[0]} == {
        ("all", "all"): 10,
        ("plan", "professional"): 10,
        ("channel", "(none)"): 10,
        ("country", "DE"): 10,
        ("industry", "(none)"): 10,
    }
