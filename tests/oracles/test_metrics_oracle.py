"""The oracle of the metrics against examples worked out by hand."""
# ruff: noqa: DTZ001 - timestamps of the lake are naive UTC

from datetime import date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from tests.oracles.metrics import metric_rows, metric_tree
from tests.oracles.reporting import Reporting

REPORTING = Reporting(ZoneInfo("Asia/Shanghai"), date(2024, 3, 31))
JANUARY, FEBRUARY, MARCH = date(2024, 1, 1), date(2024, 2, 1), date(2024, 3, 1)


def place(number: int) -> dict:
    return {"arrived_date": date(2024, 3, 31), "landed_file": "a", "landed_row": number}


def did(number: int, name: str, user_id: str, month: int, day: int, **more) -> dict:
    row = {"event_id": f"e{number}", "event": name, "user_id": user_id, "occurred_at": datetime(2024, month, day, 4), **more}
    return row | place(number)


def company() -> dict:
    """u1 and u2 sign up in January, u2 invited by u1; u3 never does; u1 orders in January and March and gives back in March."""
    return {
        "users": [
            {
                "user_id": user,
                "signed_up_at": datetime(2024, 1, day, 4),
                "country": "CN",
                "invited_by_user_id": host,
                **place(day),
            }
            for user, day, host in (("u1", 1, None), ("u2", 31, "u1"))
        ],
        "events": [
            did(1, "x", "u1", 1, 1, country="CN"),
            did(2, "value_achieved", "u1", 1, 8),
            did(3, "content_viewed", "u3", 1, 5, country="DE"),
            did(4, "feature_used", "u2", 2, 1, feature="f1"),
            did(5, "feature_used", "u2", 2, 29, feature="f2"),
            did(6, "community_posted", "u3", 3, 1),
        ],
        "orders": [
            {"order_id": name, "user_id": "u1", "ordered_at": at, "amount": Decimal(amount), "currency": "USD"} | place(number)
            for number, (name, at, amount) in enumerate(
                [("o1", datetime(2024, 1, 2), "30"), ("o2", datetime(2024, 3, 2), "10"), ("o3", datetime(2024, 3, 3), "50")]
            )
        ],
        "payments": [
            {"payment_id": "p1", "account_id": "c1", "paid_at": datetime(2024, 1, 2), "amount": Decimal(20)}
            | {"status": "succeeded", "currency": "USD", **place(1)},
            {"payment_id": "p2", "refund_of": "p1", "paid_at": datetime(2024, 3, 2), "amount": Decimal(15)}
            | {"status": "refunded", "currency": "USD", **place(2)},
        ],
    }


def by_month(rows: dict, metric: str, *names: str, segment: tuple[str, str] = ("all", "all")) -> list[tuple]:
    found = {key[2]: row for key, row in rows.items() if key[0] == metric and key[3:] == segment}
    return [tuple(found[start][name] for name in names) for start in sorted(found)]


def test_persons_come_sign_up_and_stay() -> None:
    """January sees three, of whom two sign up, one by invitation; u2 is no visitor of February any more, u3 still is of March."""
    rows = metric_rows(company(), REPORTING)
    pair = "numerator", "denominator"
    assert by_month(rows, "signups", "value", "status") == [(2, "red"), (0, "red"), (0, "red")]
    assert by_month(rows, "visit_to_signup", *pair) == [(2, 3), (0, 0), (0, 1)]
    assert by_month(rows, "visit_to_signup", "value", "target", "status")[:2] == [
        (pytest.approx(2 / 3), 0.08, "green"),
        (None, 0.08, None),
    ]
    # u2 signed up, but was not seen before February.
    assert by_month(rows, "viral_coefficient", *pair) == [(1, 2), (0, 1), (0, 1)]
    assert by_month(rows, "features_used_avg", *pair) == [(0, 1), (2, 1), (0, 0)]
    assert by_month(rows, "activation_7d", *pair, segment=("country", "CN"))[0] == (1, 2)
    assert by_month(rows, "time_to_value_minutes", "value", "numerator", "denominator")[0] == (7 * 24 * 60, None, 1)
    # u3 viewed content before any sign-up and has had 30 days; who views it in March has not.
    assert by_month(rows, "content_conversion", *pair) == [(0, 1), (0, 0), (0, 0)]


def test_growth_is_of_two_whole_periods() -> None:
    rows = metric_rows(company(), REPORTING)
    assert by_month(rows, "mau", "value", "is_complete") == [(2, True), (1, True), (1, True)]
    assert by_month(rows, "mau_growth", "numerator", "denominator", "value") == [(-1, 2, -0.5), (0, 1, 0)]
    assert by_month(rows, "mau", "previous_value", "change_rate") == [(None, None), (2, -0.5), (1, 0)]
    early = metric_rows(company(), Reporting(REPORTING.timezone, date(2024, 2, 28)))
    assert by_month(early, "mau_growth", "numerator", "value", "status") == [(None, None, "grey")]


def test_revenue_is_cash_and_orders_are_averaged_over_a_quarter() -> None:
    """Nothing was measured on January 1st, so that the first month and quarter are none."""
    rows = metric_rows(company(), REPORTING)
    assert by_month(rows, "revenue", "value", "is_complete") == [(50, False), (0, True), (45, True)]
    assert by_month(rows, "revenue", "value", segment=("country", "CN")) == [(30,), (0,), (60,)]
    assert by_month(rows, "aov", "numerator", "denominator", "value", "is_complete") == [(90, 3, 30, False)]


def test_silence_is_counted_on_the_day_it_begins() -> None:
    """u1 is last seen on January 8th, u2 on February 29th, silent on March 30th: too late to know by the end of March."""
    rows = metric_rows(company(), REPORTING)
    assert by_month(rows, "silent_user_wakeup", "numerator", "denominator", "is_complete") == [(0, 1, False), (0, 0, False)]
    later = metric_rows(company(), Reporting(REPORTING.timezone, date(2024, 4, 7)))
    assert by_month(later, "silent_user_wakeup", "denominator", "is_complete") == [(1, False), (1, True), (0, False)]


@pytest.mark.parametrize(("target", "status"), [("50", "green"), ("55.555556", "red"), ("55.555555", "amber"), ("-3", "green")])
def test_a_tenth_below_is_amber(target: str, status: str) -> None:
    """Two promoters among four, and nobody detracts: 50."""
    scores = (9, 10, 8, 7)
    survey = {
        "surveys": [
            {"response_id": f"r{number}", "responded_at": datetime(2023, 12, 31, 16), "kind": "nps", "score": score}
            | place(number)
            for number, score in enumerate(scores)
        ]
    }
    rows = metric_rows(survey, REPORTING, {"nps": Decimal(target)})
    assert by_month(rows, "nps", "value", "status") == [(50, status)]


def test_an_answer_follows_its_step() -> None:
    asked = datetime(2024, 1, 2)
    steps = [("friend_accepted", 0), ("message_sent", 0), ("message_sent", 1), ("friend_requested", 2)]
    steps += [("message_replied", 3), ("message_replied", 4)]
    wecom = [
        {"interaction_id": f"{9 - number}", "contact_id": "x", "kind": kind, "occurred_at": asked + timedelta(days=days)}
        | place(number)
        for number, (kind, days) in enumerate(steps)
    ]
    rows = metric_rows({"wecom": wecom}, REPORTING)
    assert by_month(rows, "wecom_reply_rate", "numerator", "denominator")[0] == (1, 2)
    assert by_month(rows, "wecom_friend_acceptance", "numerator", "denominator")[0] == (0, 1)


def test_the_tree_holds_every_metric() -> None:
    tree = metric_tree(company(), REPORTING, {"signups": Decimal(2)})
    signups, mrr = tree["signups",], tree["mrr_growth_mom",]
    assert (signups["target"], signups["latest_period_start"], signups["latest_value"], signups["latest_status"]) == (
        2,
        MARCH,
        0,
        "red",
    )
    assert (signups["is_computed"], signups["missing_reason"]) == (True, None)
    assert (mrr["is_computed"], mrr["missing_reason"]) == (False, "needs subscriptions (nothing has landed)")
    assert tree["forecast_error_7d",]["missing_reason"] == "forecasts are not built yet"
    assert {row["parent"] for row in tree.values()} - {None} <= {metric for (metric,) in tree}
