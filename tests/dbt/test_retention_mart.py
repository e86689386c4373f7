"""mart_retention__cohort against its oracle, on directed edges."""

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
from tests.oracles.retention import retention_cohorts

MART = "mart_retention__cohort"
KEY = ("cohort_event", "rule", "cohort_grain", "cohort_start", "dimension", "segment", "period_index")


def check(project: DbtProject, facts, data_through: date) -> dict:
    """Compare, and return the expected rows."""
    reporting = project.reporting(data_through)
    expected = retention_cohorts(facts, reporting)
    assert_same(project.run(MART, facts, reporting), KEY, expected)
    return expected


def on(project: DbtProject, day: date, hour: float = 0) -> datetime:
    start = datetime.combine(day, datetime.min.time())
    return utc(project.reporting(day).timezone, start) + timedelta(hours=hour)


def cell(rows: dict, cohort_event: str, rule: str, grain: str, start: date, index: int) -> tuple | None:
    row = rows.get((cohort_event, rule, grain, start, "all", "all", index))
    return row and (row["cohort_count"], row["retained_count"], row["is_mature"])


def test_a_cohort_of_one_returns_on_the_leap_day(shanghai: DbtProject) -> None:
    start = date(2024, 1, 30)
    rows = [
        event(1, "x", on(shanghai, start, 23.99), anonymous_id="a"),
        event(2, "x", on(shanghai, date(2024, 2, 29)), anonymous_id="a"),
    ]
    expected = check(shanghai, {"events": rows}, date(2024, 2, 29))
    assert cell(expected, "first_seen", "exact", "day", start, 30) == (1, 1, True)
    assert cell(expected, "first_seen", "exact", "day", start, 29) == (1, 0, True)
    assert cell(expected, "first_seen", "on_or_after", "day", start, 1) == (1, 1, True)
    assert cell(expected, "first_seen", "bracket", "day", start, 15) == (1, 1, True)
    assert cell(expected, "first_seen", "bracket", "day", start, 31) is None
    assert cell(expected, "first_seen", "exact", "month", date(2024, 1, 1), 1) == (1, 1, True)
    assert cell(expected, "first_seen", "exact", "week", date(2024, 1, 29), 4) == (1, None, False)


@pytest.mark.parametrize(("through", "found"), [(29, None), (30, (1, 0, True))])
def test_day_30_matures_with_its_last_second(shanghai: DbtProject, through: int, found: tuple | None) -> None:
    start = date(2024, 2, 10)
    rows = [event(1, "x", on(shanghai, start), anonymous_id="a")]
    expected = check(shanghai, {"events": rows}, start + timedelta(days=through))
    assert cell(expected, "first_seen", "exact", "day", start, 30) == found
    assert cell(expected, "first_seen", "bracket", "day", start, 15) == ((1, 0, True) if through == 30 else (1, None, False))


def test_nothing_is_said_of_periods_that_are_not_over(shanghai: DbtProject) -> None:
    """One person, in the last second of a day, a week, a month and a year and in the first of the next; there the data end."""
    start = date(2023, 12, 31)
    rows = [
        event(number, "x", on(shanghai, start, 24) + timedelta(seconds=after), anonymous_id="a")
        for number, after in enumerate((-1, 0))
    ]
    expected = check(shanghai, {"events": rows}, date(2024, 1, 1))
    starts = {"day": start, "week": date(2023, 12, 25), "month": date(2023, 12, 1)}
    first = [cell(expected, "first_seen", "exact", grain, day, 0) for grain, day in starts.items()]
    second = [cell(expected, "first_seen", "exact", grain, day, 1) for grain, day in starts.items()]
    assert first == [(1, 1, True)] * 3
    assert second == [(1, 1, True), (1, None, False), (1, None, False)]
    later = check(shanghai, {"events": rows[1:]}, date(2024, 1, 1))
    assert {key[2] for key, row in later.items() if row["is_mature"]} == {"day"}


def test_a_user_without_events_is_of_the_signup_cohort_alone(shanghai: DbtProject) -> None:
    start = date(2024, 2, 28)
    facts = {
        "users": [landed({"user_id": "u1", "signed_up_at": on(shanghai, start)}, 1, start)],
        "events": [event(1, "x", on(shanghai, date(2024, 2, 1)), anonymous_id="a1")],
    }
    expected = check(shanghai, facts, date(2024, 3, 1))
    assert cell(expected, "signup", "exact", "day", start, 0) == (1, 0, True)
    assert {key[0] for key in expected} == {"signup", "first_seen"}
    assert {key[3] for key in expected if key[0] == "first_seen"}.isdisjoint({start})


def test_only_orders_that_stand_are_returns_of_those_who_ordered(shanghai: DbtProject) -> None:
    start = date(2024, 2, 28)
    facts = {
        "events": [event(1, "x", on(shanghai, start + timedelta(days=2)), user_id="u1")],
        "orders": [
            landed(
                {
                    "order_id": f"o{number}",
                    "user_id": "u1",
                    "ordered_at": on(shanghai, start + timedelta(days=days)),
                    "amount": Decimal(1),
                    "refunded_amount": None if status == "completed" else Decimal(1),
                    "currency": "USD",
                    "status": status,
                },
                number,
                start,
            )
            for number, (days, status) in enumerate([(-3, "canceled"), (0, "completed"), (2, "returned"), (3, "completed")])
        ],
    }
    expected = check(shanghai, facts, date(2024, 3, 10))
    assert [cell(expected, "first_order", "exact", "day", start, day) for day in (0, 2, 3)] == [
        (1, 1, True),
        (1, 0, True),
        (1, 1, True),
    ]
    assert cell(expected, "first_seen", "exact", "day", start + timedelta(days=2), 0) == (1, 1, True)


def test_weeks_may_begin_on_sunday(new_york: DbtProject) -> None:
    """A return a week later is one of period 1."""
    sunday = date(2024, 2, 25)
    rows = [event(days, "x", on(new_york, sunday + timedelta(days=days), 12), anonymous_id="a") for days in (6, 7, 20)]
    expected = check(new_york, {"events": rows}, date(2024, 3, 31))
    assert [cell(expected, "first_seen", "exact", "week", sunday, week) for week in (0, 1, 2, 3)] == [
        (1, 1, True),
        (1, 1, True),
        (1, 1, True),
        (1, 0, True),
    ]


def test_an_account_is_retained_while_it_pays_at_the_end_of_the_period(shanghai: DbtProject) -> None:
    """Paid on 30 January and in time until 28 February, back on 5 March; March ends before the next day of data."""
    start = date(2024, 1, 30)
    states = [(start, "active"), (date(2024, 2, 9), "past_due"), (date(2024, 2, 28), "canceled"), (date(2024, 3, 5), "active")]
    facts = {
        "payments": [
            landed(
                {
                    "payment_id": "p1",
                    "account_id": "c1",
                    "paid_at": on(shanghai, start, 12),
                    "amount": Decimal(9),
                    "currency": "USD",
                    "status": "succeeded",
                    "kind": "subscription",
                },
                1,
                start,
            )
        ],
        "subscriptions": [
            landed(
                {
                    "subscription_id": "s1",
                    "account_id": "c1",
                    "changed_at": on(shanghai, day, 11),
                    "plan": "professional",
                    "mrr": Decimal(9) if status != "canceled" else Decimal(0),
                    "currency": "USD",
                    "status": status,
                },
                number,
                day,
            )
            for number, (day, status) in enumerate(states)
        ],
    }
    expected = check(shanghai, facts, date(2024, 3, 31))
    assert {key[0] for key in expected} == {"first_payment"}
    january = date(2024, 1, 1)
    assert [cell(expected, "first_payment", "exact", "month", january, month) for month in (0, 1, 2)] == [
        (1, 1, True),
        (1, 0, True),
        (1, 1, True),
    ]
    assert cell(expected, "first_payment", "on_or_after", "month", january, 1) == (1, 1, True)
    assert [cell(expected, "first_payment", "exact", "day", start, day) for day in (28, 29, 30)] == [
        (1, 1, True),
        (1, 0, True),
        (1, 0, True),
    ]


def test_whether_somebody_stays_is_unknown_where_nothing_tells_of_it(shanghai: DbtProject) -> None:
    """Two users and two accounts: who joined before the month of the first event or subscription is in no cohort."""
    first, second = date(2024, 1, 30), date(2024, 2, 28)
    paid = {"amount": Decimal(9), "currency": "USD", "status": "succeeded", "kind": "subscription"}
    facts = {
        "users": [
            landed({"user_id": f"u{day.month}", "signed_up_at": on(shanghai, day, 11)}, day.month, day) for day in (first, second)
        ],
        "payments": [
            landed(
                {"payment_id": f"p{day.month}", "account_id": f"c{day.month}", "paid_at": on(shanghai, day, 11), **paid},
                day.month,
                day,
            )
            for day in (first, second)
        ],
    }
    assert check(shanghai, facts, date(2024, 3, 31)) == {}
    facts["events"] = [event(1, "x", on(shanghai, date(2024, 2, 1), 9), user_id="u2")]
    facts["subscriptions"] = [
        landed(
            {
                "subscription_id": "s2",
                "account_id": "c2",
                "changed_at": on(shanghai, date(2024, 2, 29), 9),
                "plan": "professional",
                "mrr": Decimal(9),
                "currency": "USD",
                "status": "active",
            },
            1,
            second,
        )
    ]
    rows = check(shanghai, facts, date(2024, 3, 31))
    months = {(key[0], key[3], row["cohort_count"]) for key, row in rows.items() if key[2] == "month" and key[0] != "first_seen"}
    assert months == {("signup", date(2024, 2, 1), 1), ("first_payment", date(2024, 2, 1), 1)}
