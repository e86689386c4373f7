"""mart_ltv__cohort against its oracle, on directed edges."""
# ruff: noqa: DTZ001 - timestamps of the lake are naive UTC

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest

from tests.dbt.comparison import assert_same
from tests.dbt.facts import (
    event,
    landed,
)
from tests.dbt.harness import DbtProject
from tests.oracles.ltv import ltv_cohorts

MART = "mart_ltv__cohort"
KEY = ("cohort_month", "dimension", "segment", "age_months")


def check(project: DbtProject, facts, data_through: date, predictions: Sequence[dict] = ()) -> dict:
    """Compare, and return the expected rows."""
    reporting = project.reporting(data_through)
    expected = ltv_cohorts(facts, reporting, predictions)
    assert_same(project.run(MART, facts, reporting, predictions={"ltv_cohorts": predictions}), KEY, expected)
    return expected


def order(number: int, user_id: str, day: date, amount: str, **more) -> dict:
    row = {
        "order_id": f"o{number}",
        "user_id": user_id,
        "ordered_at": datetime.combine(day, datetime.min.time()) + timedelta(hours=4),
        "amount": Decimal(amount),
        "currency": "USD",
    }
    return landed({**row, **more}, number, day + timedelta(days=1))


def payment(number: int, day: date, amount: str, status: str = "succeeded", **more) -> dict:
    row = {
        "payment_id": f"p{number}",
        "paid_at": datetime.combine(day, datetime.min.time()) + timedelta(hours=4),
        "amount": Decimal(amount),
        "currency": "USD",
        "status": status,
    }
    return landed({**row, **more}, number, day + timedelta(days=1))


def revenue(rows: dict, month: date) -> list:
    """Revenue of a cohort by age."""
    return [row["revenue"] for key, row in sorted(rows.items(), key=str) if key[:3] == (month, "all", "all")]


JANUARY, FEBRUARY = date(2024, 1, 1), date(2024, 2, 1)


def test_a_refund_counts_in_the_month_of_its_payment(shanghai: DbtProject) -> None:
    facts = {
        "payments": [
            payment(1, date(2024, 1, 31), "100", account_id="c1", kind="subscription"),
            payment(2, date(2024, 2, 29), "30", "refunded", account_id="c1", kind="subscription", refund_of="p1"),
            payment(3, date(2024, 2, 29), "5", "refunded", account_id="c1", kind="subscription"),
            # Long after the account was left.
            payment(4, date(2024, 4, 1), "20", "refunded", account_id="c1", kind="subscription", refund_of="p1"),
            payment(5, date(2024, 4, 1), "1", "refunded", account_id="c1", kind="subscription"),
        ],
        "subscriptions": [
            landed(
                {
                    "subscription_id": "s1",
                    "account_id": "c1",
                    "changed_at": datetime.combine(day, datetime.min.time()),
                    "plan": "professional",
                    "mrr": Decimal(mrr),
                    "currency": "USD",
                    "status": status,
                },
                number,
                day,
            )
            for number, (day, mrr, status) in enumerate(
                [(date(2024, 1, 31), "100", "active"), (date(2024, 2, 28), "0", "canceled")]
            )
        ],
    }
    expected = check(shanghai, facts, date(2024, 4, 30))
    assert revenue(expected, JANUARY) == [Decimal("50.00"), Decimal("-5.00"), Decimal("0.00"), Decimal("-1.00")]


def test_what_was_given_back_before_the_first_purchase_counts_in_the_first_month(shanghai: DbtProject) -> None:
    facts = {
        "orders": [
            order(1, "u1", date(2023, 12, 31), "0", refunded_amount=Decimal(7), status="returned"),
            order(2, "u1", date(2024, 1, 31), "50", cost=Decimal(30)),
            order(3, "u2", date(2024, 1, 31), "0", refunded_amount=Decimal(9), status="returned"),
        ]
    }
    expected = check(shanghai, facts, date(2024, 1, 31))
    assert revenue(expected, JANUARY) == [Decimal("43.00")]
    assert expected[JANUARY, "all", "all", 0]["customer_count"] == 1
    assert expected[JANUARY, "all", "all", 0]["margin"] == Decimal("14.40")


@pytest.mark.parametrize(("through", "found"), [(date(2024, 2, 28), None), (date(2024, 2, 29), Decimal("8.00"))])
def test_a_month_is_published_when_it_is_over(shanghai: DbtProject, through: date, found: Decimal | None) -> None:
    expected = check(shanghai, {"orders": [order(1, "u1", date(2024, 2, 1), "8")]}, through)
    assert revenue(expected, FEBRUARY) == [found]


def test_a_day_without_a_rate_takes_the_last_one_known(shanghai: DbtProject) -> None:
    rates = [(date(2024, 1, 5), "0.14"), (date(2024, 1, 9), "0.15")]
    facts = {
        "orders": [order(number, "u1", date(2024, 1, day), "100", currency="CNY") for number, day in enumerate((5, 8, 9, 30))],
        "fx_rates": [
            landed({"rate_date": day, "currency": "CNY", "usd_rate": Decimal(rate)}, number, day)
            for number, (day, rate) in enumerate(rates)
        ],
    }
    assert revenue(check(shanghai, facts, date(2024, 1, 31)), JANUARY) == [Decimal("58.00")]


def test_an_account_of_staff_alone_is_left_out(shanghai: DbtProject) -> None:
    signed_up_at = datetime(2024, 1, 2)
    members = [("u1", "c1", True), ("u2", "c2", True), ("u3", "c2", False), ("u4", None, True)]
    facts = {
        "users": [
            landed(
                {"user_id": user, "account_id": account, "is_internal": internal, "signed_up_at": signed_up_at}, number, JANUARY
            )
            for number, (user, account, internal) in enumerate(members)
        ],
        "payments": [
            payment(1, date(2024, 1, 3), "1", account_id="c1"),
            payment(2, date(2024, 1, 3), "10", account_id="c2"),
            payment(3, date(2024, 1, 3), "100", user_id="u2"),
            payment(4, date(2024, 1, 3), "1000", user_id="u4"),
        ],
        "orders": [order(1, "u1", date(2024, 1, 3), "10000")],
    }
    assert revenue(check(shanghai, facts, date(2024, 1, 31)), JANUARY) == [Decimal("110.00")]


def test_facts_may_be_older_than_the_first_arrival_day(shanghai: DbtProject) -> None:
    """What happened before `partition_start` arrived on or after it: it has its months and its rates like everything else."""
    facts = {
        "orders": [
            order(1, "u1", date(2023, 4, 3), "100", currency="CNY"),
            order(2, "u1", date(2023, 5, 3), "10"),
            order(3, "u1", date(2023, 6, 3), "1"),
        ],
        "fx_rates": [
            landed({"rate_date": date(2023, 4, 1), "currency": "CNY", "usd_rate": Decimal("0.14")}, 1, date(2023, 6, 1))
        ],
    }
    expected = check(shanghai, facts, date(2023, 6, 30))
    assert revenue(expected, date(2023, 4, 1)) == [Decimal("14.00"), Decimal("10.00"), Decimal("1.00")]


def test_a_rate_from_before_the_first_arrival_day_holds_on(shanghai: DbtProject) -> None:
    facts = {
        "orders": [order(1, "u1", date(2023, 6, 3), "100", currency="CNY")],
        "fx_rates": [
            landed({"rate_date": date(2023, 5, 31), "currency": "CNY", "usd_rate": Decimal("0.14")}, 1, date(2023, 6, 1))
        ],
    }
    assert revenue(check(shanghai, facts, date(2023, 6, 30)), date(2023, 6, 1)) == [Decimal("14.00")]


def test_a_refund_without_an_owner_is_of_the_one_who_paid(shanghai: DbtProject) -> None:
    facts = {
        "payments": [
            payment(1, date(2024, 1, 3), "100", account_id="c1", kind="subscription"),
            payment(2, date(2024, 1, 9), "30", "refunded", kind="subscription", refund_of="p1"),
        ]
    }
    assert revenue(check(shanghai, facts, date(2024, 1, 31)), JANUARY) == [Decimal("70.00")]


def test_a_refund_without_a_kind_is_of_the_kind_that_it_gives_back(shanghai: DbtProject) -> None:
    """The order counts net of what it gave back; the refund of its payment must not be subtracted a second time."""
    facts = {
        "orders": [order(1, "u1", date(2024, 1, 3), "100", refunded_amount=Decimal(30))],
        "payments": [
            payment(1, date(2024, 1, 3), "100", user_id="u1", kind="order"),
            payment(2, date(2024, 1, 9), "30", "refunded", user_id="u1", refund_of="p1"),
        ],
    }
    assert revenue(check(shanghai, facts, date(2024, 1, 31)), JANUARY) == [Decimal("70.00")]


def given_back(number: int, amount: str, **more) -> dict:
    return payment(number, date(2024, 2, 9), amount, "refunded", kind="order", user_id="u1") | more


@pytest.mark.parametrize(
    ("refund", "paid", "outcome"),
    [
        # The order itself, the payment that names it, a payment that names none: u1 has one order, and it says nothing.
        ({"refund_of": "o1"}, {}, "counted"),
        ({"order_id": "o1"}, {}, "counted"),
        ({"refund_of": "p1"}, {"order_id": "o1"}, "counted"),
        ({"refund_of": "p1"}, {}, "counted"),
        ({"refund_of": "o1", "kind": None}, {}, "counted"),
        ({"order_id": "o9", "refund_of": "p1"}, {}, "order_unknown"),
        ({"refund_of": "p1"}, {"order_id": "o9"}, "order_unknown"),
        ({}, {}, "unlinked"),
        ({"refund_of": "p1", "user_id": "u2"}, {}, "nothing_bought"),
        ({"refund_of": "p1", "user_id": None}, {}, "counted"),
    ],
)
def test_a_refund_among_the_payments_counts_once(shanghai: DbtProject, refund: dict, paid: dict, outcome: str) -> None:
    """Whatever the payments say, an order that says it itself has its own figure."""
    payments_ = [payment(1, date(2024, 1, 3), "100", user_id="u1", kind="order", **paid), given_back(2, "30", **refund)]
    for refunded, month in ((None, Decimal("70.00")), (Decimal(20), Decimal("80.00"))):
        facts = {"orders": [order(1, "u1", date(2024, 1, 3), "100", refunded_amount=refunded)], "payments": payments_}
        expected = check(shanghai, facts, date(2024, 2, 29))
        left_out = Decimal(100) - (refunded or 0)
        assert revenue(expected, JANUARY)[0] == (month if outcome == "counted" else left_out)
        [found] = shanghai.run("int_money__order_refunds", facts, shanghai.reporting(date(2024, 2, 29)))
        if not refunded:
            assert found["outcome"] == outcome


def test_a_refund_may_be_of_several_orders_only_where_none_was_given_back(shanghai: DbtProject) -> None:
    bought = [order(number, "u1", date(2024, 1, 3), "100") for number in (1, 2)]
    refunds = [given_back(3, "30", refund_of="p1"), given_back(4, "5", refund_of="o2")]
    expected = check(shanghai, {"orders": bought, "payments": refunds}, date(2024, 2, 29))
    assert revenue(expected, JANUARY) == [Decimal("195.00"), Decimal("-30.00")]
    facts = {"orders": [*bought, order(5, "u1", date(2024, 1, 4), "40", status="returned")], "payments": refunds}
    assert revenue(check(shanghai, facts, date(2024, 2, 29)), JANUARY) == [Decimal("195.00"), Decimal("0.00")]
    outcomes = {row["payment_id"]: row["outcome"] for row in shanghai.read("int_money__order_refunds")}
    assert outcomes == {"p3": "ambiguous", "p4": "counted"}


def test_a_return_is_not_taken_off_twice(shanghai: DbtProject) -> None:
    """A canceled order brought nothing; a return that stands alone takes what the payments say, where it says nothing itself."""
    facts = {
        "orders": [
            order(1, "u1", date(2024, 1, 3), "100"),
            order(2, "u1", date(2024, 1, 3), "40", status="canceled"),
            order(3, "u1", date(2024, 1, 4), "0", status="returned"),
        ],
        "payments": [given_back(4, "40", refund_of="o2"), given_back(5, "7", refund_of="o3")],
    }
    assert revenue(check(shanghai, facts, date(2024, 2, 29)), JANUARY)[0] == Decimal("93.00")


def test_a_refund_counts_when_its_day_has_come(shanghai: DbtProject) -> None:
    """Clocks run ahead: what an order says was given back tomorrow was not given back today."""
    back = {"refunded_amount": Decimal(30), "refunded_at": datetime(2024, 2, 1, 4)}
    facts = {"orders": [order(1, "u1", date(2024, 1, 3), "100", **back)]}
    for through, left in ((date(2024, 1, 31), "100.00"), (date(2024, 2, 1), "70.00")):
        assert revenue(check(shanghai, facts, through), JANUARY)[0] == Decimal(left)


def test_whoever_signs_up_tomorrow_pays_for_no_account_today(shanghai: DbtProject) -> None:
    facts = {
        "users": [landed({"user_id": "u1", "account_id": "c1", "signed_up_at": datetime(2024, 2, 1, 4)}, 1, date(2024, 2, 1))],
        "payments": [payment(1, date(2024, 1, 3), "100", user_id="u1", kind="service")],
    }
    for through, customer in ((date(2024, 1, 31), "u:u1"), (date(2024, 2, 1), "c:c1")):
        check(shanghai, facts, through)
        assert [row["customer_id"] for row in shanghai.read("fct_customer_amounts")] == [customer]


def test_a_canceled_order_brings_no_revenue(shanghai: DbtProject) -> None:
    """Nothing was paid for it, whether or not the shop fills in what it gave back."""
    facts = {
        "orders": [
            order(1, "u1", date(2024, 1, 3), "100"),
            order(2, "u1", date(2024, 1, 4), "40", status="canceled"),
            order(3, "u1", date(2024, 1, 5), "40", status="canceled", refunded_amount=Decimal(40)),
        ]
    }
    assert revenue(check(shanghai, facts, date(2024, 1, 31)), JANUARY) == [Decimal("100.00")]


def test_an_account_comes_by_the_channel_of_its_first_member(shanghai: DbtProject) -> None:
    touches = {"u1": ("google", "cpc"), "u2": ("newsletter", None)}
    facts = {
        "events": [
            event(
                number,
                "x",
                datetime(2024, 1, 1, 4) + timedelta(days=number),
                user_id=user,
                referrer=None,
                utm_source=source,
                utm_medium=medium,
            )
            for number, (user, (source, medium)) in enumerate(touches.items())
        ],
        "users": [
            landed({"user_id": user, "account_id": "c1", "signed_up_at": datetime(2024, 1, 5 - number)}, number, JANUARY)
            for number, user in enumerate(touches)
        ],
        "payments": [payment(1, date(2024, 1, 9), "10", user_id="u1")],
    }
    expected = check(shanghai, facts, date(2024, 1, 31))
    assert {key[2] for key in expected if key[1] == "channel"} == {"email"}


@pytest.mark.parametrize("amount", ["99.9999", "70000", "80000", "12345678.9"])
def test_large_amounts_are_converted(shanghai: DbtProject, amount: str) -> None:
    facts = {
        "orders": [order(1, "u1", date(2024, 1, 3), amount, currency="CNY")],
        "fx_rates": [landed({"rate_date": JANUARY, "currency": "CNY", "usd_rate": Decimal("0.13947312")}, 1, JANUARY)],
    }
    expected = check(shanghai, facts, date(2024, 1, 31))
    assert revenue(expected, JANUARY)[0] == pytest.approx(Decimal(amount) * Decimal("0.13947312"), abs=Decimal("0.01"))


def test_a_reporting_currency_may_be_of_small_units(new_york: DbtProject) -> None:
    """A dong is worth 0.0000394 dollars: a dollar is 25,380.71 of them."""
    facts = {
        "orders": [order(1, "u1", date(2024, 1, 3), "2000", currency="USD")],
        "fx_rates": [landed({"rate_date": JANUARY, "currency": "CNY", "usd_rate": Decimal("0.0000394")}, 1, JANUARY)],
    }
    assert revenue(check(new_york, facts, date(2024, 1, 31)), JANUARY) == [Decimal("50761421.32")]
