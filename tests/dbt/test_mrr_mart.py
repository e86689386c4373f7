"""mart_mrr__month against its oracle, on directed edges."""
# ruff: noqa: DTZ001 - timestamps of the lake are naive UTC

from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest

from tests.dbt.comparison import assert_same
from tests.dbt.facts import event, landed, utc
from tests.dbt.harness import DbtProject
from tests.oracles.mrr import MEASURES, mrr_months

MART = "mart_mrr__month"
KEY = ("month", "dimension", "segment")


def check(project: DbtProject, facts, data_through: date) -> dict:
    """Compare, and return the expected rows."""
    reporting = project.reporting(data_through)
    expected = mrr_months(facts, reporting)
    assert_same(project.run(MART, facts, reporting), KEY, expected)
    return expected


def change(number: int, subscription: str, at: datetime | date, mrr: str, status: str = "active", **more) -> dict:
    if not isinstance(at, datetime):
        at = datetime(at.year, at.month, at.day, 4)
    row = {
        "subscription_id": subscription,
        "account_id": f"c{subscription[1]}",
        "changed_at": at,
        "plan": "professional",
        "mrr": Decimal(mrr),
        "currency": "USD",
        "status": status,
    }
    return landed({**row, **more}, number, at.date() + timedelta(days=1))


def bridge(rows: dict, segment: tuple[str, str] = ("all", "all")) -> list[tuple]:
    """What is not zero of a segment, by month."""
    return [
        {name: row[f"{name}_mrr"] for name in MEASURES if row[f"{name}_mrr"]}
        for key, row in sorted(rows.items(), key=str)
        if key[1:] == segment
    ]


def test_an_open_subscription_counts_to_the_end(shanghai: DbtProject) -> None:
    facts = {"subscriptions": [change(1, "s1", date(2024, 1, 15), "10")]}
    assert bridge(check(shanghai, facts, date(2024, 3, 31))) == [
        {"new": 10, "closing": 10},
        {"opening": 10, "closing": 10},
        {"opening": 10, "closing": 10},
    ]


def test_what_begins_and_ends_between_two_month_ends_shows_nothing(shanghai: DbtProject) -> None:
    """And when the account comes back it is new: at no month's end was it seen to pay."""
    facts = {
        "subscriptions": [
            change(1, "s1", date(2024, 1, 15), "10"),
            change(2, "s1", date(2024, 1, 31), "0", "canceled"),
            change(3, "s1", date(2024, 2, 29), "20"),
        ]
    }
    assert bridge(check(shanghai, facts, date(2024, 2, 29))) == [{"new": 20, "closing": 20}]


@pytest.mark.parametrize(("late", "closing"), [(timedelta(microseconds=-1), 0), (timedelta(0), 10)])
def test_the_month_ends_at_local_midnight(new_york: DbtProject, late: timedelta, closing: int) -> None:
    """A subscription canceled in the last microsecond of March is gone at its end, one canceled at midnight is not."""
    zone = new_york.reporting(date(2024, 3, 31)).timezone
    facts = {
        "subscriptions": [
            change(1, "s1", date(2024, 2, 15), "10", currency="CNY"),
            change(2, "s1", utc(zone, datetime(2024, 4, 1)) + late, "0", "canceled", currency="CNY"),
        ]
    }
    expected = check(new_york, facts, date(2024, 4, 30))
    assert expected[date(2024, 3, 1), "all", "all"]["closing_mrr"] == closing


def test_several_subscriptions_are_one_account(shanghai: DbtProject) -> None:
    """One grows, another shrinks by as much: nothing moved. Then one ends: that is a contraction, no churn."""
    facts = {
        "subscriptions": [
            change(1, "s1", date(2024, 1, 15), "10"),
            change(2, "s2", date(2024, 1, 15), "30", account_id="c1"),
            change(3, "s1", date(2024, 2, 15), "20"),
            change(4, "s2", date(2024, 2, 15), "20", account_id="c1"),
            change(5, "s2", date(2024, 3, 15), "0", "canceled", account_id="c1"),
        ]
    }
    expected = check(shanghai, facts, date(2024, 3, 31))
    assert bridge(expected) == [
        {"new": 40, "closing": 40},
        {"opening": 40, "closing": 40},
        {"opening": 40, "contraction": 20, "closing": 20},
    ]
    assert expected[date(2024, 3, 1), "all", "all"]["contraction_account_count"] == 1


def test_an_account_with_two_plans_leaves_and_comes_back(shanghai: DbtProject) -> None:
    """Both end on the leap day, what was paid is given back after that, and in April it begins anew with the smaller plan."""
    facts = {
        "subscriptions": [
            change(1, "s1", date(2024, 1, 15), "10"),
            change(2, "s2", date(2024, 1, 20), "30", account_id="c1", plan="enterprise"),
            change(3, "s1", date(2024, 2, 29), "0", "canceled"),
            change(4, "s2", date(2024, 2, 29), "0", "canceled", account_id="c1", plan="enterprise"),
            change(5, "s1", date(2024, 4, 1), "20"),
        ],
        "payments": [
            landed(
                {
                    "payment_id": f"p{number}",
                    "account_id": "c1",
                    "paid_at": datetime(2024, 1 + 2 * number, 20),
                    "amount": Decimal(40),
                    "currency": "USD",
                    "status": status,
                    "refund_of": refund_of,
                },
                number,
                date(2024, 4, 1),
            )
            for number, (status, refund_of) in enumerate([("succeeded", None), ("refunded", "p0")])
        ],
    }
    expected = check(shanghai, facts, date(2024, 4, 30))
    churned = [{"new": 40, "closing": 40}, {"opening": 40, "churned": 40}, {}]
    assert bridge(expected) == [*churned, {"reactivation": 20, "closing": 20}]
    assert bridge(expected, ("plan", "enterprise")) == [*churned, {}]
    assert bridge(expected, ("plan", "professional")) == [{"reactivation": 20, "closing": 20}]


def test_of_equal_subscriptions_the_smallest_id_names_the_plan(shanghai: DbtProject) -> None:
    facts = {
        "subscriptions": [
            change(1, "s10", date(2024, 1, 15), "10", plan="custom"),
            change(2, "s1", date(2024, 1, 16), "10", plan="enterprise"),
            change(3, "s11", date(2024, 1, 17), "9.99", plan="free"),
        ]
    }
    assert bridge(check(shanghai, facts, date(2024, 1, 31)), ("plan", "enterprise")) == [
        {"new": Decimal("29.99"), "closing": Decimal("29.99")}
    ]


def test_an_upgrade_leaves_one_plan_and_enters_the_other(shanghai: DbtProject) -> None:
    facts = {
        "subscriptions": [
            change(1, "s1", date(2024, 1, 15), "10"),
            change(2, "s1", date(2024, 2, 15), "50", plan="enterprise"),
            change(3, "s2", date(2024, 1, 15), "7"),
        ]
    }
    expected = check(shanghai, facts, date(2024, 2, 29))
    february = date(2024, 2, 1)
    assert bridge(expected, ("plan", "professional")) == [
        {"new": 17, "closing": 17},
        {"opening": 17, "transferred": -10, "closing": 7},
    ]
    assert bridge(expected, ("plan", "enterprise")) == [{"expansion": 40, "transferred": 10, "closing": 50}]
    assert expected[february, "plan", "professional"]["nrr_rate"] == 1
    assert expected[february, "plan", "enterprise"]["nrr_rate"] == 5
    assert expected[february, "all", "all"]["transferred_mrr"] == 0


def test_renewals_and_rates_move_nothing(shanghai: DbtProject) -> None:
    """A dearer plan at a weaker currency is an expansion, and no more of one than the customer agreed to."""
    rates = [(date(2024, 1, 1), "0.2"), (date(2024, 2, 1), "0.3"), (date(2024, 3, 1), "0.1")]
    facts = {
        "subscriptions": [
            change(1, "s1", date(2024, 1, 15), "100", currency="CNY"),
            change(2, "s1", date(2024, 2, 15), "100", currency="CNY"),
            change(3, "s1", date(2024, 3, 15), "110", currency="CNY"),
        ],
        "fx_rates": [
            landed({"rate_date": day, "currency": "CNY", "usd_rate": Decimal(rate)}, number, day)
            for number, (day, rate) in enumerate(rates)
        ],
    }
    assert bridge(check(shanghai, facts, date(2024, 3, 31))) == [
        {"new": 20, "closing": 20},
        {"opening": 20, "closing": 20},
        {"opening": 20, "expansion": 2, "closing": 22},
    ]


def test_what_has_not_happened_yet_does_not_count(shanghai: DbtProject) -> None:
    """A cancellation announced for tomorrow; and the running month has no rates."""
    facts = {
        "subscriptions": [
            change(1, "s1", date(2024, 1, 15), "10"),
            change(2, "s1", date(2024, 2, 16), "0", "canceled"),
        ]
    }
    february = check(shanghai, facts, date(2024, 2, 15))[date(2024, 2, 1), "all", "all"]
    assert (february["closing_mrr"], february["nrr_rate"], february["is_complete"]) == (10, None, False)
    february = check(shanghai, facts, date(2024, 2, 29))[date(2024, 2, 1), "all", "all"]
    assert (february["closing_mrr"], february["nrr_rate"], february["logo_churn_rate"], february["is_complete"]) == (
        0,
        0,
        1,
        True,
    )


def test_where_nobody_pays_there_is_a_row_of_zeros(shanghai: DbtProject) -> None:
    facts = {"subscriptions": [change(1, "s1", date(2024, 1, 15), "10", "trialing")]}
    expected = check(shanghai, facts, date(2024, 2, 29))
    assert list(expected) == [(date(2024, 2, 1), "all", "all")]


def test_staff_pay_nothing(shanghai: DbtProject) -> None:
    """An account of staff alone is left out; one with a customer among its members stays, by the channel of the first of them."""
    signed_up_at = datetime(2024, 1, 2)
    members = [("u1", "c1", True), ("u2", "c2", True), ("u3", "c2", False)]
    facts = {
        "events": [event(1, "x", signed_up_at, user_id="u3", referrer=None, utm_source="google", utm_medium="cpc")],
        "users": [
            landed(
                {
                    "user_id": user,
                    "account_id": account,
                    "is_internal": internal,
                    "signed_up_at": signed_up_at + timedelta(days=int(internal)),
                },
                number,
                date(2024, 1, 5),
            )
            for number, (user, account, internal) in enumerate(members)
        ],
        "subscriptions": [change(1, "s1", date(2024, 1, 15), "10"), change(2, "s2", date(2024, 1, 15), "100")],
    }
    expected = check(shanghai, facts, date(2024, 1, 31))
    assert bridge(expected) == bridge(expected, ("channel", "paid_search")) == [{"new": 100, "closing": 100}]


def test_plans_of_a_company_s_own_are_mapped_or_stay_as_they_are(shanghai: DbtProject) -> None:
    facts = {
        "subscriptions": [
            change(1, "s1", date(2024, 1, 15), "10", plan="Basic"),
            change(2, "s2", date(2024, 1, 15), "20", plan="GOLD", account_id="c2"),
            change(3, "s3", date(2024, 1, 15), "30", plan="gold", account_id="c3"),
        ]
    }
    rows = shanghai.run(MART, facts, shanghai.reporting(date(2024, 1, 31)), plans={"basic": "professional"})
    assert {row["segment"]: int(row["closing_mrr"]) for row in rows if row["dimension"] == "plan"} == {
        "professional": 10,
        "gold": 50,
    }


def test_a_subscription_that_another_replaces_moves_nothing_when_the_rate_has_moved(shanghai: DbtProject) -> None:
    rates = [
        landed({"rate_date": day, "currency": "EUR", "usd_rate": Decimal(rate)}, number, day)
        for number, (day, rate) in enumerate([(date(2024, 1, 1), "1.0"), (date(2024, 2, 1), "0.9"), (date(2024, 3, 1), "0.8")])
    ]
    euro = {"currency": "EUR", "account_id": "c1"}
    facts = {
        "fx_rates": rates,
        "subscriptions": [
            change(1, "s1", date(2024, 1, 15), "100", **euro),
            change(2, "s1", date(2024, 2, 10), "0", "canceled", **euro),
            change(3, "s2", date(2024, 2, 10), "60", **euro),
            change(4, "s3", date(2024, 2, 10), "40", **euro),
            # A pause between two ends of months changes nothing either.
            change(5, "s2", date(2024, 3, 10), "0", "canceled", **euro),
            change(6, "s3", date(2024, 3, 10), "0", "canceled", **euro),
            change(7, "s4", date(2024, 3, 12), "100", **euro),
        ],
    }
    assert bridge(check(shanghai, facts, date(2024, 3, 31))) == [
        {"new": 100, "closing": 100},
        {"opening": 100, "closing": 100},
        {"opening": 100, "closing": 100},
    ]


def test_a_subscription_without_a_rate_is_left_out(shanghai: DbtProject) -> None:
    facts = {"subscriptions": [change(1, "s1", date(2024, 1, 15), "10"), change(2, "s2", date(2024, 1, 15), "9", currency="CHF")]}
    assert bridge(check(shanghai, facts, date(2024, 1, 31))) == [{"new": 10, "closing": 10}]


def euros(*published: tuple[date, str], currency: str = "EUR") -> list[dict]:
    return [
        landed({"rate_date": day, "currency": currency, "usd_rate": Decimal(rate)}, number, day)
        for number, (day, rate) in enumerate(published)
    ]


MOVING = ((date(2024, 1, 1), "1.0"), (date(2024, 2, 1), "0.9"), (date(2024, 3, 1), "0.8"), (date(2024, 4, 1), "0.7"))


CHANGES_AT_ONE_PRICE = {
    "replaced over midnight": [
        (datetime(2024, 2, 10, 15, 59, 58), "s1", "0", "canceled", {}),
        (datetime(2024, 2, 10, 16, 0, 3), "s2", "100", "active", {}),
    ],
    "past due and back": [(date(2024, 2, 10), "s1", "100", "past_due", {}), (date(2024, 3, 10), "s1", "100", "active", {})],
    "paused within a month": [(date(2024, 2, 5), "s1", "100", "paused", {}), (date(2024, 2, 25), "s1", "100", "active", {})],
    "split": [(date(2024, 2, 10), "s1", "70", "active", {}), (date(2024, 2, 10), "s2", "30", "active", {})],
    "seats and plan": [(date(2024, 2, 10), "s1", "100", "active", {"seats": 9, "plan": "enterprise"})],
}


@pytest.mark.parametrize("later", CHANGES_AT_ONE_PRICE.values(), ids=CHANGES_AT_ONE_PRICE)
def test_no_exchange_rate_looks_like_a_movement(shanghai: DbtProject, later: list) -> None:
    euro = {"currency": "EUR", "account_id": "c1"}
    changes = [(date(2024, 1, 15), "s1", "100", "active", {}), *later]
    facts = {
        "fx_rates": euros(*MOVING),
        "subscriptions": [
            change(number, subscription, at, mrr, status, **euro, **more)
            for number, (at, subscription, mrr, status, more) in enumerate(changes)
        ],
    }
    assert bridge(check(shanghai, facts, date(2024, 3, 31))) == [
        {"new": 100, "closing": 100},
        {"opening": 100, "closing": 100},
        {"opening": 100, "closing": 100},
    ]


def test_two_currencies_keep_a_rate_each(shanghai: DbtProject) -> None:
    """Half of it moves from euros to dollars at the price of the day: the euros that stay keep their rate."""
    facts = {
        "fx_rates": euros(*MOVING),
        "subscriptions": [
            change(1, "s1", date(2024, 1, 15), "100", currency="EUR"),
            change(2, "s1", date(2024, 2, 15), "50", currency="EUR"),
            change(3, "s2", date(2024, 2, 15), "45", account_id="c1"),
        ],
    }
    assert bridge(check(shanghai, facts, date(2024, 2, 29))) == [
        {"new": 100, "closing": 100},
        {"opening": 100, "contraction": 5, "closing": 95},
    ]


def test_an_account_that_is_away_at_the_end_of_a_month_comes_back_at_a_new_rate(shanghai: DbtProject) -> None:
    facts = {
        "fx_rates": euros(*MOVING),
        "subscriptions": [
            change(1, "s1", date(2024, 1, 15), "100", currency="EUR"),
            change(2, "s1", date(2024, 2, 29), "0", "canceled", currency="EUR"),
            change(3, "s1", date(2024, 3, 1), "100", currency="EUR"),
        ],
    }
    assert bridge(check(shanghai, facts, date(2024, 3, 31))) == [
        {"new": 100, "closing": 100},
        {"opening": 100, "churned": 100},
        {"reactivation": 80, "closing": 80},
    ]


def test_a_currency_counts_from_its_first_rate_on(shanghai: DbtProject) -> None:
    """What was paid before is unknown; a placeholder of 0 is no rate; nothing that came before keeps later months out."""
    facts = {
        "fx_rates": euros(
            (date(2024, 1, 1), "0"), (date(2024, 2, 20), "0.9"), (date(2024, 3, 1), "0.8"), (date(2024, 3, 2), "0")
        ),
        "subscriptions": [
            change(1, "s1", date(2024, 1, 15), "100", currency="EUR"),
            change(2, "s1", date(2024, 3, 15), "110", currency="EUR"),
            change(3, "s2", date(2024, 1, 15), "7"),
        ],
    }
    assert bridge(check(shanghai, facts, date(2024, 3, 31))) == [
        {"new": 7, "closing": 7},
        {"opening": 7, "new": 90, "closing": 97},
        {"opening": 97, "expansion": 9, "closing": 106},
    ]


@pytest.mark.parametrize(("currency", "rate", "mrr", "closing"), [
    ("JPY", "0.0067", "15000", "100.50"),
    ("KWD", "3.25", "12.345", "40.12"),
    ("VND", "0.000039", "25000000", "975.00"),
    ("IRR", "0.00002381", "99999999999999.9999", "2381000000.00"),
])  # fmt: skip
def test_amounts_of_currencies_large_and_small(shanghai: DbtProject, currency: str, rate: str, mrr: str, closing: str) -> None:
    facts = {
        "fx_rates": euros((date(2024, 1, 1), rate), currency=currency),
        "subscriptions": [change(1, "s1", date(2024, 1, 15), mrr, currency=currency)],
    }
    assert bridge(check(shanghai, facts, date(2024, 1, 31))) == [{"new": Decimal(closing), "closing": Decimal(closing)}]


def test_an_amount_too_large_to_convert_is_left_out(shanghai: DbtProject) -> None:
    facts = {
        "fx_rates": euros((date(2024, 1, 1), "3.25"), currency="KWD"),
        "subscriptions": [
            change(1, "s1", date(2024, 1, 15), "90000000000000", currency="KWD"),
            change(2, "s2", date(2024, 1, 15), "7"),
        ],
    }
    rows = shanghai.run(MART, facts, shanghai.reporting(date(2024, 1, 31)))
    assert [row["closing_mrr"] for row in rows if row["dimension"] == "all"] == [7]
    left_out = shanghai.run("int_quality__unconverted", facts, shanghai.reporting(date(2024, 1, 31)))
    assert [(row["source"], row["currency"], row["row_count"]) for row in left_out] == [("subscriptions", "KWD", 1)]
