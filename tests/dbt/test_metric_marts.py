"""mart_metric__daily and mart_metric_tree__current against their oracle, on directed edges."""
# ruff: noqa: DTZ001 - timestamps of the lake are naive UTC

from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest

from tests.dbt.comparison import assert_same
from tests.dbt.facts import (
    event,
    landed,
)
from tests.dbt.harness import DbtProject
from tests.oracles.delivery import delivery
from tests.oracles.metrics import metric_rows, tree_of

DAILY, TREE = "mart_metric__daily", "mart_metric_tree__current"
KEY = ("metric", "period", "period_start", "dimension", "segment")


def check(project: DbtProject, facts, data_through: date, predictions=(), **more) -> dict:
    """Compare both marts, and return the expected rows of the first."""
    reporting = project.reporting(data_through)
    expected = metric_rows(facts, reporting, predictions=predictions, **more)
    nodes = project.run(TREE, facts, reporting, predictions={"ltv_cohorts": predictions}, **more)
    assert_same(project.read(DAILY), KEY, expected)
    delivered = delivery(facts, reporting, more.get("event_names"))
    assert_same(nodes, ("metric",), tree_of(expected, delivered, more.get("targets")))
    return expected


SHANGHAI_NOON = timedelta(hours=4)
JANUARY, FEBRUARY, MARCH = date(2024, 1, 1), date(2024, 2, 1), date(2024, 3, 1)


def noon(year: int, month: int, day: int) -> datetime:
    """Noon in Shanghai, as UTC."""
    return datetime(year, month, day) + SHANGHAI_NOON


def user(number: int, at: datetime, **more) -> dict:
    return landed({"user_id": f"u{number}", "signed_up_at": at, **more}, number, at.date() + timedelta(days=1))


def did(number: int, name: str, at: datetime, user_id: str = "u1", **more) -> dict:
    return event(number, name, at, user_id=user_id, **more)


def sums(rows: dict, metric: str, start: date, dimension: str = "all", segment: str = "all") -> tuple:
    """Numerator and denominator."""
    [row] = [row for key, row in rows.items() if (key[0], *key[2:]) == (metric, start, dimension, segment)]
    return row["numerator"], row["denominator"]


def cell(rows: dict, metric: str, start: date, column: str):
    """A column of the row for all."""
    [row] = [row for key, row in rows.items() if (key[0], *key[2:]) == (metric, start, "all", "all")]
    return row[column]


def test_days_to_reach_something_are_of_24_hours(shanghai: DbtProject) -> None:
    """Exactly 7 and 30 days after the sign-up count, a second later does not, and before the sign-up does."""
    joined, second = noon(2024, 1, 2), timedelta(seconds=1)
    at = {1: joined + timedelta(days=7), 2: joined + timedelta(days=7) + second, 3: joined - timedelta(days=9)}
    at |= {4: joined + timedelta(days=30), 5: joined + timedelta(days=30) + second}
    facts = {
        # Sign-ups are known from December on.
        "users": [user(9, noon(2023, 12, 1)), *(user(number, joined) for number in range(1, 7))],
        "events": [did(number, "value_achieved", when, f"u{number}") for number, when in at.items()]
        + [did(number + 10, "onboarding_completed", when, f"u{number}") for number, when in at.items()],
    }
    rows = check(shanghai, facts, date(2024, 3, 31))
    assert sums(rows, "activation_7d", JANUARY) == (2, 6)
    assert sums(rows, "aha_conversion", JANUARY) == (4, 6)
    assert sums(rows, "onboarding_completion", JANUARY) == (4, 6)
    # Reached before the sign-up in December, in January after 10,080 minutes and a sixtieth more.
    assert cell(rows, "time_to_value_minutes", date(2023, 12, 1), "value") == 0
    assert cell(rows, "time_to_value_minutes", JANUARY, "value") == pytest.approx(10_080.0083335, abs=1e-9)


@pytest.mark.parametrize(("through", "is_complete", "users_due"), [(date(2024, 2, 29), False, 1), (date(2024, 3, 1), True, 2)])
def test_a_month_is_complete_when_its_last_day_has_had_its_time(shanghai: DbtProject, through, is_complete, users_due) -> None:
    """Who signed up on January 31st has had 30 days by the end of March 1st, as 2024 is a leap year."""
    facts = {
        "users": [user(1, noon(2024, 1, 1)), user(2, noon(2024, 1, 31))],
        "events": [did(1, "value_achieved", noon(2024, 1, 31), "u2")],
    }
    rows = check(shanghai, facts, through)
    assert cell(rows, "aha_conversion", JANUARY, "is_complete") is is_complete
    assert cell(rows, "aha_conversion", JANUARY, "status") == ("red" if is_complete else "grey")
    assert sums(rows, "aha_conversion", JANUARY) == (users_due - 1, users_due)
    assert sums(rows, "aha_conversion", FEBRUARY)[1] == 0


def test_a_first_month_that_began_in_the_midst_is_none(shanghai: DbtProject) -> None:
    """Sign-ups are known from January 2nd on: February is the first whole month, and growth from January is none."""
    facts = {"events": [did(number, "x", noon(2024, 1 + number, 2)) for number in range(3)]}
    rows = check(shanghai, facts, date(2024, 3, 31))
    assert [cell(rows, "mau", start, "is_complete") for start in (JANUARY, FEBRUARY, MARCH)] == [False, True, True]
    assert [cell(rows, "mau_growth", start, "value") for start in (FEBRUARY, MARCH)] == [None, 0]
    facts["events"].append(did(9, "x", noon(2024, 1, 1)))
    assert cell(check(shanghai, facts, date(2024, 3, 31)), "mau_growth", FEBRUARY, "value") == 0


@pytest.mark.parametrize(
    ("days", "silences"), [(30, (0, 1)), (31, (1, 1)), (37, (1, 1)), (38, (0, 1))], ids=["never", "at once", "in time", "late"]
)
def test_silence_begins_after_thirty_days_and_is_broken_within_seven(shanghai: DbtProject, days: int, silences: tuple) -> None:
    """Active on New Year's day: silent on January 31st, unless active on that day too; then in the next month."""
    facts = {
        "users": [user(1, noon(2023, 12, 31))],
        "events": [did(1, "x", noon(2024, 1, 1)), did(2, "x", noon(2024, 1, 1) + timedelta(days=days))],
    }
    rows = check(shanghai, facts, date(2024, 4, 30))
    month = MARCH if days == 30 else JANUARY
    assert sums(rows, "silent_user_wakeup", month) == silences


def interaction(number: int, kind: str, at: datetime, contact: str = "x1", **more) -> dict:
    row = {"interaction_id": f"i{number}", "contact_id": contact, "kind": kind, "occurred_at": at, **more}
    return landed(row, number, at.date() + timedelta(days=1))


def test_an_answer_comes_within_a_week_and_before_the_next_step(shanghai: DbtProject) -> None:
    asked, week = noon(2024, 1, 2), timedelta(days=7)
    facts = {
        "wecom": [
            interaction(1, "message_sent", asked, "in time"),
            interaction(2, "message_replied", asked + week, "in time"),
            interaction(3, "message_sent", asked, "late"),
            interaction(4, "message_replied", asked + week + timedelta(seconds=1), "late"),
            interaction(5, "message_sent", asked, "twice"),
            interaction(6, "message_sent", asked + timedelta(hours=1), "twice"),
            interaction(7, "message_replied", asked + timedelta(hours=2), "twice"),
            # At once: the answer follows what it answers, whatever their ids are.
            interaction(9, "message_sent", asked, "at once"),
            interaction(8, "message_replied", asked, "at once"),
            interaction(0, "friend_accepted", asked, "at once"),
        ]
    }
    rows = check(shanghai, facts, date(2024, 2, 29))
    assert sums(rows, "wecom_reply_rate", JANUARY) == (3, 5)
    assert not [key for key in rows if key[0] == "wecom_friend_acceptance"]


def payment(number: int, at: datetime, amount: str, **more) -> dict:
    row = {"payment_id": f"p{number}", "paid_at": at, "amount": Decimal(amount), "currency": "USD", "status": "succeeded", **more}
    return landed(row, number, at.date() + timedelta(days=1))


def test_revenue_is_cash(shanghai: DbtProject) -> None:
    """A refund in February takes from February, and is worth ten thousandths of a dollar to the last."""
    facts = {
        "payments": [
            payment(1, noon(2024, 1, 1), "100.0001", account_id="c1"),
            payment(2, noon(2024, 2, 29), "30", status="refunded", refund_of="p1"),
        ]
    }
    rows = check(shanghai, facts, date(2024, 2, 29))
    assert [cell(rows, "revenue", start, "value") for start in (JANUARY, FEBRUARY)] == [100.0001, -30]
    assert cell(rows, "revenue_growth_mom", FEBRUARY, "value") == pytest.approx(-1.3, abs=1e-5)


def test_who_only_gave_back_counts_where_it_stands_and_staff_do_not(shanghai: DbtProject) -> None:
    """A return is all that is known of both of what they bought; one is staff."""
    returned = {"amount": Decimal(0), "refunded_amount": Decimal(7), "currency": "USD", "status": "returned"}
    facts = {
        "users": [user(1, noon(2023, 12, 1), country="CN"), user(2, noon(2023, 12, 1), is_internal=True)],
        "orders": [
            landed(
                {"order_id": f"o{number}", "user_id": f"u{number}", "ordered_at": noon(2024, 1, 1), **returned}, number, FEBRUARY
            )
            for number in (1, 2)
        ],
    }
    rows = check(shanghai, facts, date(2024, 1, 31))
    assert sums(rows, "revenue", JANUARY) == sums(rows, "revenue", JANUARY, "country", "CN") == (-7, None)


@pytest.mark.parametrize(
    ("owner", "late", "paid"), [({"account_id": "c1"}, 0, 1), ({"user_id": "u1"}, 0, 1), ({"user_id": "u1"}, 1, 0)]
)
def test_an_account_pays_by_its_users_too(shanghai: DbtProject, owner: dict, late: int, paid: int) -> None:
    """Exactly 30 days after it was created, or a second later."""
    created = noon(2024, 1, 1)
    facts = {
        "accounts": [landed({"account_id": "c1", "created_at": created}, 1, FEBRUARY)],
        "users": [user(1, created, account_id="c1")],
        "payments": [payment(1, created + timedelta(days=30, seconds=late), "9", **owner)],
    }
    assert sums(check(shanghai, facts, date(2024, 3, 1)), "free_to_paid", JANUARY) == (paid, 1)


def subscription(number: int, at: datetime, mrr: str = "50", **more) -> dict:
    row = {"subscription_id": f"s{number}", "account_id": f"c{number}", "changed_at": at, "plan": "professional"}
    row |= {"mrr": Decimal(mrr), "currency": "USD", "status": "active", **more}
    return landed(row, number, at.date() + timedelta(days=1))


def test_staff_do_not_use_the_product_for_an_account(shanghai: DbtProject) -> None:
    facts = {
        "users": [user(1, noon(2023, 12, 1), account_id="c1"), user(2, noon(2023, 12, 1), is_internal=True)],
        "subscriptions": [subscription(1, noon(2024, 1, 1)), subscription(2, noon(2024, 1, 1))],
        "events": [
            did(1, "match_requested", noon(2024, 1, 5)),
            did(2, "match_requested", noon(2024, 1, 5), "u2", account_id="c2"),
            did(3, "match_requested", noon(2024, 2, 5), "u3", account_id="c2"),
        ],
    }
    rows = check(shanghai, facts, date(2024, 2, 29))
    assert [sums(rows, "core_use_rate", start) for start in (JANUARY, FEBRUARY)] == [(1, 2), (1, 2)]
    assert [cell(rows, "mapu", start, "value") for start in (JANUARY, FEBRUARY)] == [1, 1]


def test_who_signs_up_after_the_last_day_of_data_has_not_yet(shanghai: DbtProject) -> None:
    """What was reached before is reached by nobody, and alone such a user leaves the rate unknown."""
    facts: dict = {
        "users": [user(1, noon(2024, 1, 20))],
        "events": [did(1, "value_achieved", noon(2024, 1, 5)), did(2, "match_requested", noon(2024, 1, 6))],
    }
    of_users = {"visit_to_signup", "signups", "time_to_value_minutes", "core_feature_adoption"}
    assert not {key[0] for key in check(shanghai, facts, date(2024, 1, 10))} & of_users
    assert sums(check(shanghai, facts, date(2024, 1, 20)), "visit_to_signup", JANUARY) == (1, 1)
    facts["users"].append(user(3, noon(2023, 12, 1)))
    rows = check(shanghai, facts, date(2024, 1, 10))
    assert sums(rows, "visit_to_signup", JANUARY) == (0, 1)
    assert not {key[0] for key in rows} & {"time_to_value_minutes", "core_feature_adoption"}


def test_without_a_visitor_there_is_no_rate(shanghai: DbtProject) -> None:
    """Nobody comes in February; who comes back in March is no visitor."""
    facts = {
        "users": [user(1, noon(2024, 1, 2))],
        "events": [did(1, "x", noon(2024, 1, 1), "u2"), did(2, "x", noon(2024, 3, 1))],
    }
    rows = check(shanghai, facts, date(2024, 3, 31))
    assert [sums(rows, "visit_to_signup", start) for start in (JANUARY, FEBRUARY, MARCH)] == [(1, 2), (0, 0), (0, 0)]
    assert [cell(rows, "visit_to_signup", start, "value") for start in (JANUARY, FEBRUARY)] == [0.5, None]
    assert cell(rows, "visit_to_signup", FEBRUARY, "status") is None


def answers(scores: list[int], at: datetime) -> list[dict]:
    return [
        landed({"response_id": f"{at:%m%d%H}-{number}", "responded_at": at, "kind": "nps", "score": score}, number, at.date())
        for number, score in enumerate(scores)
    ]


def test_a_quarter_ends_in_its_third_month_and_a_score_may_be_negative(shanghai: DbtProject) -> None:
    """Until midnight of March 31st, Shanghai: two detractors and a passive; then a promoter."""
    midnight = datetime(2024, 3, 31, 16)
    facts = {"surveys": [*answers([0, 6, 7], midnight - timedelta(microseconds=1)), *answers([9], midnight)]}
    facts["surveys"] += [{**row, "response_id": f"first{row['response_id']}"} for row in answers([8], noon(2024, 1, 1))]
    targets = {"nps": Decimal(-50)}
    rows = check(shanghai, facts, date(2024, 4, 1), targets=targets)
    assert (cell(rows, "nps", JANUARY, "value"), cell(rows, "nps", JANUARY, "status")) == (-50, "green")
    april = date(2024, 4, 1)
    assert (cell(rows, "nps", april, "value"), cell(rows, "nps", april, "status")) == (100, "grey")
    assert cell(rows, "nps", april, "change_rate") == 3


@pytest.mark.parametrize(
    ("target", "status"), [("-50", "green"), ("-45.5", "amber"), ("-45.454545", "red"), ("-45", "red"), ("50", "red")]
)
def test_a_tenth_of_a_negative_target_is_below_it(shanghai: DbtProject, target: str, status: str) -> None:
    facts = {"surveys": answers([0, 8], noon(2024, 1, 1))}
    rows = check(shanghai, facts, date(2024, 3, 31), targets={"nps": Decimal(target)})
    assert cell(rows, "nps", JANUARY, "status") == status


@pytest.mark.parametrize(("joined", "status"), [(10, "green"), (9, "amber"), (8, "red")])
def test_exactly_a_tenth_below_the_target_is_amber(shanghai: DbtProject, joined: int, status: str) -> None:
    """The target of 0.08 among 125 visitors: ten reach it, nine are a tenth below."""
    facts = {
        "users": [user(number, noon(2024, 1, 1)) for number in range(joined)],
        "events": [did(number, "x", noon(2024, 1, 1), f"u{number}") for number in range(125)],
    }
    rows = check(shanghai, facts, date(2024, 1, 31))
    assert cell(rows, "visit_to_signup", JANUARY, "status") == status


@pytest.mark.parametrize(("cost", "status"), [("200", "green"), ("220", "amber"), ("220.01", "red")])
def test_exactly_a_tenth_above_the_target_is_amber(shanghai: DbtProject, cost: str, status: str) -> None:
    """Also of a month that is older than the calendar of the project, in which nothing but money was spent."""
    spent = {"spend_date": date(2023, 4, 3), "utm_source": "google", "cost": Decimal(cost), "currency": "USD"}
    facts = {"ad_spend": [landed(spent, 1, date(2023, 6, 1))], "payments": [payment(1, noon(2023, 4, 3), "9", account_id="c1")]}
    facts["payments"][0]["arrived_date"] = date(2023, 6, 1)
    rows = check(shanghai, facts, date(2023, 6, 30))
    assert (cell(rows, "cac", date(2023, 4, 1), "target"), cell(rows, "cac", date(2023, 4, 1), "status")) == (200, status)
    facts["payments"] = [payment(1, noon(2023, 5, 3), "9", account_id="c1", arrived_date=date(2023, 6, 1))]
    rows = check(shanghai, facts, date(2023, 6, 30))
    assert [cell(rows, "cac", date(2023, 4, 1), name) for name in ("target", "value", "status")] == [200, None, None]


def test_targets_may_be_configured_and_money_is_aimed_at_in_dollars(new_york: DbtProject) -> None:
    """At the rate of the month's last day, or of the last day of data."""
    rates = [(date(2024, 1, 1), "0.2"), (date(2024, 1, 31), "0.1"), (date(2024, 2, 10), "0.5"), (date(2024, 2, 11), "1")]
    facts = {
        "fx_rates": [
            landed({"rate_date": day, "currency": "CNY", "usd_rate": Decimal(rate)}, number, day)
            for number, (day, rate) in enumerate(rates)
        ],
        "ad_spend": [
            landed({"spend_date": day, "utm_source": "google", "cost": Decimal(10), "currency": "CNY"}, number, day)
            for number, day in enumerate((date(2024, 1, 2), date(2024, 2, 2)))
        ],
        "users": [user(1, noon(2024, 1, 2))],
        "payments": [payment(1, noon(2024, 1, 2), "9", account_id="c1", currency="CNY")],
        "events": [did(1, "x", noon(2024, 1, 2))],
    }
    rows = check(new_york, facts, date(2024, 2, 10), targets={"cac": Decimal(30), "signups": Decimal("1.5")})
    assert [cell(rows, "cac", start, "target") for start in (JANUARY, FEBRUARY)] == [300, 60]
    assert cell(rows, "signups", JANUARY, "target") == 1.5
    assert {row["target"] for key, row in rows.items() if key[0] == "signups" and key[3] != "all"} == {None}
    assert {row["target"] for key, row in rows.items() if key[0] == "visit_to_signup"} == {0.08}


def test_what_is_older_than_the_calendar_counts(shanghai: DbtProject) -> None:
    """The project's days begin on June 1st 2023; this ticket and this visit were before."""
    opened = {"ticket_id": "t1", "opened_at": noon(2023, 2, 1), "first_response_at": noon(2023, 2, 1) + timedelta(hours=1)}
    facts = {
        "tickets": [landed(opened, 1, date(2023, 6, 1))],
        "events": [did(1, "x", noon(2023, 3, 1), arrived_date=date(2023, 6, 1))],
    }
    rows = check(shanghai, facts, date(2023, 6, 30))
    assert [cell(rows, "support_response_hours", date(2023, month, 1), "value") for month in (2, 3)] == [1, None]
    assert cell(rows, "mau", date(2023, 3, 1), "value") == 1


def test_what_lands_after_the_last_day_of_data_is_no_period_yet(shanghai: DbtProject) -> None:
    rows = check(shanghai, {"events": [did(1, "x", noon(2024, 1, 5)), did(2, "x", noon(2024, 1, 7))]}, date(2024, 1, 6))
    assert {key[2] for key in rows if key[0] == "data_accuracy"} == {date(2024, 1, 6)}


def test_money_and_times_keep_their_places(shanghai: DbtProject) -> None:
    """An order of a third of a dollar, a session of a second: neither is rounded to hundredths."""
    order = {"order_id": "o1", "user_id": "u1", "ordered_at": noon(2024, 1, 1), "amount": Decimal("0.3333"), "currency": "USD"}
    facts = {
        "orders": [landed(order, 1, FEBRUARY)],
        "events": [did(number, "x", noon(2024, 1, 1) + timedelta(seconds=number)) for number in (0, 1)],
    }
    rows = check(shanghai, facts, date(2024, 3, 31))
    assert cell(rows, "aov", JANUARY, "value") == 0.3333
    assert cell(rows, "session_minutes_avg", JANUARY, "value") == 0.016667


def test_the_tree_names_the_newest_complete_period_or_what_is_missing(shanghai: DbtProject) -> None:
    facts = {"users": [user(1, noon(2024, 1, 1)), user(2, noon(2024, 2, 2)), user(3, noon(2024, 3, 2))]}
    reporting = shanghai.reporting(date(2024, 3, 30))
    check(shanghai, facts, reporting.data_through)
    nodes = {row["metric"]: row for row in shanghai.read(TREE)}
    latest = ("is_computed", "missing_reason", "latest_period_start", "latest_value", "latest_status")
    assert [nodes["signups"][name] for name in latest] == [True, None, FEBRUARY, 1, "red"]
    assert [nodes["aov"][name] for name in latest] == [False, "needs orders (nothing has landed)", None, None, None]
    assert nodes["ltv"]["missing_reason"] == "needs orders (nothing has landed) or payments (nothing has landed)"
    assert nodes["nps"]["missing_reason"] == "needs surveys (nothing has landed)"
    assert nodes["forecast_error_7d"]["missing_reason"] == "forecasts are not built yet"


# What metrics lack without a source, a column or a value, and how that is said.
NEEDS = {
    "cac": {
        "ad_spend": "ad_spend (nothing has landed)",
        "orders": "orders (nothing has landed) or payments (nothing has landed)",
    },
    "marketing_roi": {"ad_spend": "ad_spend (nothing has landed)"},
    "mrr": {"subscriptions": "subscriptions (nothing has landed)"},
    "mapu": {
        "match_requested": "the event match_requested (never sent; if you send it by another name, map it in [event_names])"
    },
    "viral_coefficient": {
        "users": "users (nothing has landed)",
        "invited_by_user_id": "users.invited_by_user_id (no row has it)",
    },
    "visit_to_signup": {"users": "users (nothing has landed)", "events": "events (nothing has landed)"},
    "aha_conversion": {"value_achieved": "the event value_achieved"},
    "onboarding_completion": {"onboarding_completed": "the event onboarding_completed"},
    "content_conversion": {"content_viewed": "the event content_viewed"},
    "community_participation": {"community_posted": "the event community_posted"},
    "core_feature_adoption": {"match_requested": "the event match_requested"},
    "features_used_avg": {"feature": "events.feature (no row has it)"},
    "feedback_response_rate": {"answered_at": "feedback.answered_at (no row has it)"},
    "wecom_friend_acceptance": {"friend_accepted": "wecom.kind=friend_accepted (no row has it)"},
}


def whole_company() -> dict:
    """Everything that a metric may need."""
    names = ("value_achieved", "onboarding_completed", "content_viewed", "community_posted", "match_requested", "feature_used")
    return {
        "users": [user(1, noon(2024, 1, 1), account_id="c1"), user(2, noon(2024, 1, 3), invited_by_user_id="u1")],
        "events": [
            did(
                number,
                name,
                noon(2024, 1, 1) + timedelta(hours=number),
                "u3" if name == "content_viewed" else "u1",
                feature="f1" if name == "feature_used" else None,
            )
            for number, name in enumerate(name for name in names)
        ],
        "subscriptions": [subscription(1, noon(2024, 1, 1))],
        "orders": [
            landed(
                {"order_id": "o1", "user_id": "u1", "ordered_at": noon(2024, 1, 1), "amount": Decimal(9), "currency": "USD"},
                1,
                FEBRUARY,
            )
        ],
        "ad_spend": [landed({"spend_date": JANUARY, "utm_source": "google", "cost": Decimal(3), "currency": "USD"}, 1, FEBRUARY)],
        "feedback": [
            landed(
                {
                    "feedback_id": "f1",
                    "user_id": "u1",
                    "text": "x",
                    "created_at": noon(2024, 1, 1),
                    "answered_at": noon(2024, 1, 2),
                },
                1,
                FEBRUARY,
            )
        ],
        "wecom": [
            interaction(1, "friend_requested", noon(2024, 1, 1)),
            interaction(2, "friend_accepted", noon(2024, 1, 1) + timedelta(hours=1)),
        ],
    }


def without(facts: dict, what: str) -> dict:
    """The company as it would be if a source, a column, an event name or a kind had never been delivered."""
    kept = {source: rows for source, rows in facts.items() if source != what}
    for source, rows in kept.items():
        kept[source] = [
            {**row, what: None} if what in row else row for row in rows if what not in (row.get("event"), row.get("kind"))
        ]
    return kept


def test_a_company_that_delivers_everything_has_every_figure(shanghai: DbtProject) -> None:
    rows = check(shanghai, whole_company(), date(2024, 3, 31))
    assert {key[0] for key in rows} >= NEEDS.keys()


@pytest.mark.parametrize("what", sorted({what for needs in NEEDS.values() for what in needs}))
def test_what_nobody_delivered_is_unknown_and_the_tree_says_what_is_missing(shanghai: DbtProject, what: str) -> None:
    """`match_requested` goes with `value_achieved`: either is use of the core."""
    facts = without(whole_company(), what)
    if what == "match_requested":
        facts = without(facts, "value_achieved")
    rows = check(shanghai, facts, date(2024, 3, 31))
    nodes = {row["metric"]: row for row in shanghai.read(TREE)}
    for metric, needs in NEEDS.items():
        if what in needs:
            assert metric not in {key[0] for key in rows}
            assert nodes[metric]["missing_reason"].startswith("needs ")
            assert needs[what] in nodes[metric]["missing_reason"]


def test_before_a_source_held_any_fact_its_figures_are_unknown(shanghai: DbtProject) -> None:
    """Events from January on, users from March: nobody can say that nobody signed up in January or February."""
    facts = {"events": [did(month, "x", noon(2024, month, 1)) for month in (1, 2, 3)], "users": [user(1, noon(2024, 3, 9))]}
    rows = check(shanghai, facts, date(2024, 3, 31))
    assert {key[2] for key in rows if key[0] == "visit_to_signup"} == {MARCH}
    assert {key[2] for key in rows if key[0] == "mau"} == {JANUARY, FEBRUARY, MARCH}


def test_the_largest_channel_is_one_of_those_that_are_known(shanghai: DbtProject) -> None:
    """Three come from somewhere, two of them by a search; of four who were never seen nothing is known."""
    touches = ({"utm_source": "google", "utm_medium": "cpc"},) * 2 + ({"utm_source": "newsletter", "utm_medium": "email"},)
    blank = {"referrer": None, "utm_source": None, "utm_medium": None}
    facts = {
        "users": [user(number, noon(2024, 1, 1)) for number in range(7)],
        "events": [did(number, "x", noon(2024, 1, 1), f"u{number}", **blank | touch) for number, touch in enumerate(touches)],
    }
    assert sums(check(shanghai, facts, date(2024, 1, 31)), "max_channel_share", JANUARY) == (2, 3)
    facts["events"] = [did(9, "x", noon(2024, 1, 1), "u9")]
    rows = check(shanghai, facts, date(2024, 1, 31))
    assert [cell(rows, "max_channel_share", JANUARY, name) for name in ("value", "denominator", "status")] == [None, None, None]
