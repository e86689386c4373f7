"""The retention oracle against an example worked out by hand."""
# ruff: noqa: DTZ001 - timestamps of the lake are naive UTC

from datetime import date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from tests.oracles.reporting import Reporting
from tests.oracles.retention import published_periods, retention_cohorts

MONDAY = date(2024, 2, 26)


def test_three_rules_over_one_cohort() -> None:
    """Person p comes on days 0, 2, 5 and 9, q on day 0 alone; the data ends with day 9."""
    visits = [("p", 0), ("p", 2), ("p", 5), ("p", 9), ("q", 0)]
    events = [
        {
            "event_id": f"e{number}",
            "event": "x",
            "anonymous_id": who,
            "occurred_at": datetime(2024, 2, 26, 4) + timedelta(days=day),
            "arrived_date": MONDAY,
            "landed_file": "a",
            "landed_row": number,
        }
        for number, (who, day) in enumerate(visits)
    ]
    rows = retention_cohorts({"events": events}, Reporting(ZoneInfo("Asia/Shanghai"), MONDAY + timedelta(days=9)))

    def retained(rule: str, grain: str = "day", start: date = MONDAY) -> dict[int, int | None]:
        return {
            key[6]: row["retained_count"]
            for key, row in rows.items()
            if key[:6] == ("first_seen", rule, grain, start, "all", "all")
        }

    assert retained("exact") == {0: 2, 1: 0, 2: 1, 3: 0, 4: 0, 5: 1, 6: 0, 7: 0, 8: 0, 9: 1}
    assert retained("on_or_after") == {0: 2, **dict.fromkeys(range(1, 10), 1)}
    assert retained("bracket") == {1: 1, 4: 1, 8: None}
    assert retained("exact", "week") == {0: 2, 1: None}
    assert retained("exact", "month", date(2024, 2, 1)) == {0: 2, 1: None}
    cell = rows["first_seen", "exact", "day", MONDAY, "channel", "direct", 2]
    assert (cell["cohort_count"], cell["retention_rate"], cell["is_mature"]) == (2, 0.5, True)
    assert {key[0] for key in rows} == {"first_seen"}


def test_an_account_is_retained_by_paying_at_the_end_of_a_period() -> None:
    """It first pays on Monday 26 February, leaves on 10 March, a Sunday, and is back on 14 March; the data end with the 17th."""
    place = {"arrived_date": MONDAY, "landed_file": "a", "landed_row": 1}
    changes = [("active", datetime(2024, 2, 26)), ("canceled", datetime(2024, 3, 10)), ("past_due", datetime(2024, 3, 14))]
    money = {"account_id": "c", "currency": "USD", **place}
    facts = {
        "payments": [{"payment_id": "p", "paid_at": datetime(2024, 2, 26), "amount": Decimal(5), "status": "succeeded", **money}],
        "subscriptions": [
            {"subscription_id": "s", "changed_at": at, "status": status, "mrr": Decimal(5), "plan": "custom", **money}
            for status, at in changes
        ],
    }
    rows = retention_cohorts(facts, Reporting(ZoneInfo("Asia/Shanghai"), date(2024, 3, 17)))
    weeks = {key[6]: row["retained_count"] for key, row in rows.items() if key[1:6] == ("exact", "week", MONDAY, "all", "all")}
    assert weeks == {0: 1, 1: 0, 2: 1}
    later = {
        key[6]: row["retained_count"] for key, row in rows.items() if key[1:6] == ("on_or_after", "week", MONDAY, "all", "all")
    }
    assert later == {0: 1, 1: 1, 2: 1}
    days = {key[6]: row["retained_count"] for key, row in rows.items() if key[1:6] == ("exact", "day", MONDAY, "all", "all")}
    assert [days[day] for day in (0, 12, 13, 16, 17, 20)] == [1, 1, 0, 0, 1, 1]
    assert {key[0] for key in rows} == {"first_payment"}


def test_brackets_are_published_for_days_alone() -> None:
    brackets = [(first, last) for rule, first, last in published_periods("day") if rule == "bracket"]
    assert brackets == [(1, 3), (4, 7), (8, 14), (15, 30), (31, 90)]
    assert {rule for grain in ("week", "month") for rule, _, _ in published_periods(grain)} == {"exact", "on_or_after"}
