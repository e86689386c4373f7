"""mart_ltv_cac__channel_month against its oracle, on directed edges."""
# ruff: noqa: DTZ001 - timestamps of the lake are naive UTC

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest

from tests.dbt.comparison import assert_same
from tests.dbt.facts import (
    event,
    landed,
    utc,
)
from tests.dbt.harness import DbtProject
from tests.oracles.ltv_cac import channel_months

MART = "mart_ltv_cac__channel_month"
KEY = ("month", "channel")
JANUARY, FEBRUARY = date(2024, 1, 1), date(2024, 2, 1)


def check(project: DbtProject, facts, data_through: date, predictions: Sequence[dict] = ()) -> dict:
    """Compare, and return the expected rows."""
    reporting = project.reporting(data_through)
    expected = channel_months(facts, reporting, predictions)
    assert_same(project.run(MART, facts, reporting, predictions={"ltv_cohorts": predictions}), KEY, expected)
    return expected


def spend(number: int, day: date, cost: str, source: str = "google", medium: str | None = "cpc", **more) -> dict:
    row = {"spend_date": day, "utm_source": source, "utm_medium": medium, "cost": Decimal(cost), "currency": "USD", **more}
    return landed(row, number, day + timedelta(days=1))


def order(number: int, user_id: str, at: datetime | date, amount: str, **more) -> dict:
    if not isinstance(at, datetime):
        at = datetime(at.year, at.month, at.day, 4)
    row = {"order_id": f"o{number}", "user_id": user_id, "ordered_at": at, "amount": Decimal(amount), "currency": "USD", **more}
    return landed(row, number, at.date() + timedelta(days=1))


def visit(number: int, user_id: str, source: str | None = "google", medium: str | None = "cpc") -> dict:
    return event(number, "x", datetime(2024, 1, 2, 4), user_id=user_id, referrer=None, utm_source=source, utm_medium=medium)


def test_spend_without_customers_and_customers_without_spend_survive(shanghai: DbtProject) -> None:
    facts = {"ad_spend": [spend(1, date(2024, 1, 31), "10")], "orders": [order(1, "u1", date(2024, 2, 1), "5")]}
    expected = check(shanghai, facts, date(2024, 2, 29))
    assert expected[JANUARY, "all"]["blended_cac"] is None
    assert expected[JANUARY, "paid_search"]["spend"] == 10
    assert expected[FEBRUARY, "(none)"]["new_customer_count"] == 1
    assert (expected[FEBRUARY, "all"]["blended_cac"], expected[FEBRUARY, "all"]["roas"]) == (0, None)


def test_a_campaign_that_cost_nothing_has_no_cost_per_customer(shanghai: DbtProject) -> None:
    """Its customers are new and not paid for, and there is nothing to pay back; another channel cost and brought nobody."""
    facts = {
        "events": [visit(1, "u1")],
        "ad_spend": [spend(1, date(2024, 1, 2), "0"), spend(2, date(2024, 1, 3), "8", "newsletter", None)],
        "orders": [order(1, "u1", date(2024, 1, 3), "50")],
    }
    expected = check(shanghai, facts, date(2024, 1, 31))
    row = expected[JANUARY, "paid_search"]
    assert (row["spend"], row["new_customer_count"], row["paid_customer_count"]) == (0, 1, 0)
    assert (row["paid_cac"], row["payback_months"], row["roas"], row["marketing_roi"]) == (None, None, None, None)
    assert (expected[JANUARY, "email"]["paid_cac"], expected[JANUARY, "all"]["blended_cac"]) == (None, 8)


@pytest.mark.parametrize(("amount", "payback"), [("49.98", 1), ("50", 0), ("50.01", 0)])
def test_cost_is_paid_back_when_the_margin_reaches_it(shanghai: DbtProject, amount: str, payback: int) -> None:
    """40 were spent, and four fifths of the first order are left; a second follows in February."""
    facts = {
        "events": [visit(1, "u1")],
        "ad_spend": [spend(1, date(2024, 1, 2), "40")],
        "orders": [order(1, "u1", date(2024, 1, 3), amount), order(2, "u1", date(2024, 2, 29), "1")],
    }
    assert check(shanghai, facts, date(2024, 2, 29))[JANUARY, "paid_search"]["payback_months"] == payback


@pytest.mark.parametrize(("through", "payback"), [(date(2024, 2, 28), None), (date(2024, 2, 29), 1)])
def test_a_month_pays_back_when_it_is_over(shanghai: DbtProject, through: date, payback: int | None) -> None:
    facts = {
        "events": [visit(1, "u1")],
        "ad_spend": [spend(1, date(2024, 1, 2), "40")],
        "orders": [order(1, "u1", date(2024, 1, 3), "10"), order(2, "u1", date(2024, 2, 10), "100")],
    }
    row = check(shanghai, facts, through)[JANUARY, "paid_search"]
    assert (row["payback_months"], row["margin"]) == (payback, 88)


def test_what_was_paid_back_stays_so(shanghai: DbtProject) -> None:
    """A return in February takes from the margin, not from January's having covered the cost."""
    facts = {
        "events": [visit(1, "u1")],
        "ad_spend": [spend(1, date(2024, 1, 2), "40")],
        "orders": [
            order(1, "u1", date(2024, 1, 3), "100"),
            order(2, "u1", date(2024, 2, 10), "0", refunded_amount=Decimal(90), status="returned"),
        ],
    }
    row = check(shanghai, facts, date(2024, 2, 29))[JANUARY, "paid_search"]
    assert (row["payback_months"], row["margin"], row["marketing_roi"]) == (0, 8, -0.8)


def test_months_of_spend_and_customers_are_local(new_york: DbtProject) -> None:
    """A campaign's day is one of the reporting time zone as it is; an order's is the local one of its instant."""
    zone = new_york.reporting(JANUARY).timezone
    at = utc(zone, datetime(2024, 1, 31, 23, 59, 59))
    facts = {
        "ad_spend": [spend(1, date(2024, 1, 31), "7", currency="CNY"), spend(2, date(2024, 2, 1), "8", currency="CNY")],
        "orders": [order(1, "u1", at, "5", currency="CNY"), order(2, "u2", at + timedelta(seconds=1), "5", currency="CNY")],
    }
    expected = check(new_york, facts, date(2024, 2, 29))
    assert [expected[month, "all"]["blended_cac"] for month in (JANUARY, FEBRUARY)] == [7, 8]


def test_spend_is_converted_on_its_day(shanghai: DbtProject) -> None:
    """Half a fen of rounding is made once, over the month: 3 × 1.1123 CNY at 0.1 on one day, 1 CNY at 0.2 on another."""
    rates = [(date(2024, 1, 1), "0.1"), (date(2024, 1, 9), "0.2")]
    facts = {
        "ad_spend": [
            *(spend(number, date(2024, 1, 8), "1.1123", currency="CNY", utm_campaign=f"c{number}") for number in range(3)),
            spend(3, date(2024, 1, 9), "1", currency="CNY"),
        ],
        "fx_rates": [
            landed({"rate_date": day, "currency": "CNY", "usd_rate": Decimal(rate)}, number, day)
            for number, (day, rate) in enumerate(rates)
        ],
    }
    assert check(shanghai, facts, date(2024, 1, 31))[JANUARY, "all"]["spend"] == Decimal("0.53")


def test_spend_may_be_older_than_everything_else(shanghai: DbtProject) -> None:
    facts = {
        "ad_spend": [spend(1, date(2023, 4, 3), "100", currency="CNY")],
        "fx_rates": [
            landed({"rate_date": date(2023, 4, 1), "currency": "CNY", "usd_rate": Decimal("0.14")}, 1, date(2023, 6, 1))
        ],
    }
    assert check(shanghai, facts, date(2023, 6, 30))[date(2023, 4, 1), "all"]["spend"] == 14


def test_one_source_under_two_spellings_is_one_channel(shanghai: DbtProject) -> None:
    facts = {
        "ad_spend": [spend(1, date(2024, 1, 2), "1"), spend(2, date(2024, 1, 2), "2", " Google", "CPC")],
        "events": [visit(1, "u1", "GOOGLE", "cpc ")],
        "orders": [order(1, "u1", date(2024, 1, 3), "10")],
    }
    assert check(shanghai, facts, date(2024, 1, 31))[JANUARY, "paid_search"]["paid_cac"] == 3


def test_staff_and_what_has_not_happened_yet_do_not_count(shanghai: DbtProject) -> None:
    staff = landed({"user_id": "u1", "signed_up_at": datetime(2024, 1, 2), "is_internal": True}, 1, JANUARY)
    facts = {
        "users": [staff],
        "orders": [order(1, "u1", date(2024, 1, 3), "10"), order(2, "u2", date(2024, 1, 11), "10")],
        "ad_spend": [spend(1, date(2024, 1, 10), "3"), spend(2, date(2024, 1, 11), "4")],
    }
    expected = check(shanghai, facts, date(2024, 1, 10))
    assert set(expected) == {(JANUARY, "paid_search"), (JANUARY, "all")}
    assert (expected[JANUARY, "all"]["spend"], expected[JANUARY, "all"]["blended_cac"]) == (3, None)
