"""int_churn__features and int_churn__indicators against their oracle, and the point in time that they keep to."""
# ruff: noqa: DTZ001, S311 - timestamps of the lake are naive UTC; the examples are the same on every run

from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from random import Random

import pytest

from tests.dbt.comparison import assert_same
from tests.dbt.customers import EVENT_NAMES, LAST_DAY, customers
from tests.dbt.facts import Rows, event, landed
from tests.dbt.harness import DbtProject
from tests.oracles.churn import features, indicators
from tests.oracles.reporting import Facts

KEY = ("as_of_date", "account_id")
# A day on the grid of as-of dates: it is looked at in every later night too.
SUNDAY = date(2024, 3, 31)


def run(project: DbtProject, facts: Facts, data_through: date, model: str = "int_churn__features") -> Rows:
    return project.run(model, facts, project.reporting(data_through), event_names=EVENT_NAMES)


def check(project: DbtProject, facts: Facts, data_through: date) -> dict:
    """Compare both models, and return the expected features."""
    reporting = project.reporting(data_through)
    assert_same(run(project, facts, data_through, "int_churn__indicators"), KEY, indicators(facts, reporting, EVENT_NAMES))
    expected = features(facts, reporting, EVENT_NAMES)
    assert_same(project.read("int_churn__features"), KEY, expected)
    return expected


@pytest.mark.parametrize("seed", range(100, 103))
def test_what_arrives_later_leaves_earlier_features_as_they_were(shanghai: DbtProject, seed: int) -> None:
    facts = customers(Random(seed), shanghai.reporting(LAST_DAY).timezone, shanghai.config.bot_events_per_day)
    assert_later_facts_change_nothing(shanghai, facts)


def assert_later_facts_change_nothing(project: DbtProject, facts: Facts) -> None:
    """What was said with the facts that had arrived by a Sunday is said of it with all of them, value for value."""
    earlier = {source: [row for row in rows if row["arrived_date"] <= SUNDAY] for source, rows in facts.items()}
    for model in ("int_churn__features", "int_churn__indicators"):
        before, after = (
            {(row["as_of_date"], row["account_id"]): {**row, "is_current": None} for row in rows}
            for rows in (run(project, earlier, SUNDAY, model), run(project, facts, LAST_DAY, model))
        )
        assert before == {key: row for key, row in after.items() if key[0] <= SUNDAY}
        assert len(before) < len(after)


# Model → the condition by which it keeps to what had arrived; the named facts of LATE show when it is gone.
ARRIVED = {
    "int_churn__activity": "activity.arrived_date <= days.as_of_date",
    "int_accounts__subscriptions": "subscriptions.arrived_date <= dates.as_of_date",
    "int_churn__rates": "fx.arrived_date <= dates.as_of_date",
    "int_accounts__tickets": "tickets.arrived_date <= days.as_of_date",
    "int_churn__features_used": "activity.arrived_date <= days.as_of_date",
    "int_churn__features": "payments.arrived_date <= days.as_of_date",
    "int_accounts__members": None,
    "bots of int_churn__activity": "bot_days.known_date <= days.as_of_date",
    "bots of int_churn__features_used": "bot_days.known_date <= days.as_of_date",
}


@pytest.mark.parametrize("leak", ARRIVED)
def test_a_feature_of_what_had_only_happened_is_found_out(
    shanghai: DbtProject, leak: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same facts with and without one condition: the arrival is looked at in every place, and the test above would see."""
    facts = late_facts(shanghai)
    if leak == "int_churn__activity":
        assert_later_facts_change_nothing(shanghai, facts)
    model = f"model.northstar.{leak.removeprefix('bots of ')}"
    node, condition = shanghai._nodes[model], ARRIVED[leak]
    if condition is None:
        # The latest state there is, whenever it arrived.
        code = node.code.replace("arrived_date as known_from", "date '2000-01-01' as known_from").replace(
            "lead(arrived_date) over (partition by user_id order by arrived_date)", "null::date"
        )
        code += " qualify row_number() over (partition by user_id order by state_number) = 1"
    else:
        assert condition in node.code
        code = node.code.replace(condition, "true")
    monkeypatch.setitem(shanghai._nodes, model, replace(node, code=code))
    with pytest.raises(AssertionError):
        assert_later_facts_change_nothing(shanghai, facts)


# Model → what it says, and what it would say if it looked a day ahead: at facts that had arrived, dated on the day after.
AHEAD = {
    "int_accounts__subscriptions": ("subscriptions.changed_date <= dates.as_of_date", "true"),
    "int_churn__rates": ("fx.rate_date <= dates.as_of_date", "true"),
    "int_accounts__days": ("and dates.as_of_date", "and dates.as_of_date + 1"),
    "int_accounts__tickets": ("> days.as_of_date, true) as is_unsolved", "> days.as_of_date + 1, true) as is_unsolved"),
}


def test_what_is_dated_after_the_day_is_not_in_its_features(shanghai: DbtProject) -> None:
    assert_facts_of_tomorrow_change_nothing(shanghai)


@pytest.mark.parametrize("leak", AHEAD)
def test_a_feature_of_tomorrow_is_found_out(shanghai: DbtProject, leak: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = f"model.northstar.{leak}"
    node, (condition, leaking) = shanghai._nodes[model], AHEAD[leak]
    assert node.code.count(condition) == 1
    monkeypatch.setitem(shanghai._nodes, model, replace(node, code=node.code.replace(condition, leaking)))
    with pytest.raises(AssertionError):
        assert_facts_of_tomorrow_change_nothing(shanghai)


def assert_facts_of_tomorrow_change_nothing(project: DbtProject) -> None:
    """What is said of a Sunday is said of it too when facts of each kind, dated on the Monday, had arrived on that Sunday."""
    monday = datetime(2024, 4, 1, 4)
    early = SUNDAY - timedelta(days=9)
    ticket = {"ticket_id": "t1", "account_id": "c1", "opened_at": datetime(2024, 3, 27, 4)}
    rate = {"currency": "CNY", "usd_rate": Decimal("0.14")}
    facts = {
        "subscriptions": [pays(currency="CNY")],
        "fx_rates": [landed({**rate, "rate_date": date(2023, 7, 1)}, 1, early)],
        "events": [
            event(1, "feature_used", datetime(2024, 3, 22, 4), user_id="u1", account_id="c1", feature="chat", arrived_date=early)
        ],
        "payments": [],
        "tickets": [landed(ticket, 1, SUNDAY)],
    }
    failed = {
        "payment_id": "p1",
        "account_id": "c1",
        "paid_at": monday,
        "amount": Decimal(1),
        "currency": "USD",
        "status": "failed",
    }
    tomorrow = {
        "subscriptions": [landed({**pays(), "changed_at": monday, "status": "past_due", "mrr": Decimal(7)}, 2, SUNDAY)],
        "fx_rates": [landed({**rate, "rate_date": monday.date(), "usd_rate": Decimal("0.15")}, 2, SUNDAY)],
        "events": [event(2, "feature_used", monday, user_id="u1", account_id="c1", feature="board", arrived_date=SUNDAY)],
        "payments": [landed(failed, 1, SUNDAY)],
        "tickets": [landed({**ticket, "ticket_id": "t2", "opened_at": monday}, 2, SUNDAY)],
    }
    ahead = {source: rows + tomorrow[source] for source, rows in facts.items()}
    # The ticket that was open on the Sunday will be solved on the Monday, as its row already says.
    ahead["tickets"][0] = landed({**ticket, "resolved_at": monday}, 1, SUNDAY)
    [known], [foretold] = (
        [row for row in run(project, given, LAST_DAY) if row["as_of_date"] == SUNDAY] for given in (facts, ahead)
    )
    assert known == foretold
    assert known["events_7d"] == 0
    assert known["unsolved_tickets"] == 1


def late_facts(project: DbtProject) -> dict[str, Rows]:
    """An account that pays, with a fact of each kind of the last days before the Sunday that arrived after it."""
    happened, late = datetime(2024, 3, 27, 4), SUNDAY + timedelta(days=3)
    early = happened.date()
    subscription = {
        "subscription_id": "s1",
        "account_id": "c1",
        "changed_at": datetime(2024, 1, 10),
        "plan": "professional",
        "mrr": Decimal(100),
        "currency": "CNY",
        "status": "active",
    }
    rates = [(date(2023, 7, 1), "0.14", date(2023, 7, 1)), (early, "0.15", late)]
    limit = project.config.bot_events_per_day
    burst = [
        event(
            10 + number,
            "feature_used",
            datetime(2024, 3, 20, 4) + timedelta(seconds=number),
            user_id="bot",
            account_id="c1",
            feature="board",
            arrived_date=early if number < limit else late,
        )
        for number in range(limit + 1)
    ]
    return {
        "subscriptions": [
            landed(subscription, 1, date(2024, 1, 11)),
            landed({**subscription, "subscription_id": "s2", "changed_at": happened, "mrr": Decimal(1)}, 2, late),
        ],
        "fx_rates": [
            landed({"rate_date": day, "currency": "CNY", "usd_rate": Decimal(rate)}, number, arrived)
            for number, (day, rate, arrived) in enumerate(rates)
        ],
        "events": [
            event(1, "feature_used", happened, user_id="u1", account_id="c1", feature="chat", arrived_date=late),
            *burst,
        ],
        "payments": [
            landed(
                {
                    "payment_id": "p1",
                    "account_id": "c1",
                    "paid_at": happened,
                    "amount": Decimal(1),
                    "currency": "USD",
                    "status": "failed",
                },
                1,
                late,
            )
        ],
        "users": [
            landed({"user_id": "u1", "account_id": account, "signed_up_at": happened, "updated_at": at}, number, arrived)
            for number, (account, at, arrived) in enumerate([("c1", happened, early), ("c2", happened + timedelta(days=1), late)])
        ],
        "tickets": [
            landed({"ticket_id": "t1", "user_id": "u1", "opened_at": happened}, 1, early),
            landed({"ticket_id": "t2", "account_id": "c1", "opened_at": happened}, 2, late),
        ],
    }


def pays(day: date = date(2024, 1, 10), **more) -> dict:
    row = {
        "subscription_id": "s1",
        "account_id": "c1",
        "changed_at": datetime(day.year, day.month, day.day, 4),
        "plan": "professional",
        "mrr": Decimal(100),
        "currency": "USD",
        "status": "active",
    }
    return landed({**row, **more}, 1, day)


def test_as_of_dates_lie_on_all_weekdays_alike_and_stay_where_they_are(shanghai: DbtProject) -> None:
    """Eight nights in a row look back on the same days; only a night's own is looked at wherever it lies."""
    facts = {"subscriptions": [pays(date(2024, 1, 2))]}
    grid: list[date] = []
    for last in (LAST_DAY - timedelta(days=before) for before in range(8)):
        rows = run(shanghai, facts, last, "int_accounts__as_of_dates")
        history = sorted(row["as_of_date"] for row in rows if not row["is_current"])
        grid = grid or history
        assert [row["as_of_date"] for row in rows if row["is_current"]] == [last]
        assert history == [day for day in grid if day < last]
    # Four weeks after the first arrival at the earliest.
    assert 28 <= (grid[0] - date(2024, 1, 2)).days < 36
    assert {later - day for day, later in pairwise(grid)} == {timedelta(days=8)}
    assert len({day.weekday() for day in grid[-7:]}) == 7


@pytest.mark.parametrize(
    ("days", "streak"),
    [([0, 1, 2], 3), ([1, 2], 2), ([2, 3], 0), ([0, 2, 3], 1), ([0, 1, 3], 2), ([1, 3, 4], 1), (list(range(95)), 90), ([], 0)],
)
def test_a_run_of_days_ends_with_the_as_of_date_or_the_day_before(shanghai: DbtProject, days: list[int], streak: int) -> None:
    rows = [
        event(
            number,
            "x",
            datetime(2024, 3, 31, 4) - timedelta(days=number),
            user_id="u1",
            account_id="c1",
            arrived_date=SUNDAY,
        )
        for number in days
    ]
    expected = check(shanghai, {"subscriptions": [pays(date(2024, 3, 30))], "events": rows}, SUNDAY)
    assert [row["streak_days"] for row in expected.values()] == [streak]


def test_usage_is_down_below_seven_tenths(shanghai: DbtProject) -> None:
    """40 events in 28 days are 10 in 7, and exactly 7 are no decline; without any before there is none to measure."""
    counts = {"c1": (7, 40), "c2": (6, 40), "c3": (1, 0), "c4": (0, 0)}
    noon = datetime(2024, 3, 31, 4)
    rows: Rows = []
    for account, (last, before) in counts.items():
        days = [number % 7 for number in range(last)] + [7 + number % 28 for number in range(before)]
        for days_before in days:
            at = noon - timedelta(days=days_before, seconds=len(rows))
            rows.append(event(len(rows), "x", at, user_id="u1", account_id=account, arrived_date=SUNDAY))
    facts = {"events": rows, "subscriptions": [pays(account_id=account, subscription_id=account) for account in counts]}
    expected = check(shanghai, facts, SUNDAY)
    newest = [expected[SUNDAY, account] for account in counts]
    assert [(row["events_7d"], row["events_prior_28d"]) for row in newest] == list(counts.values())
    assert [row["usage_ratio"] for row in newest] == [0.7, 0.6, None, None]
    assert [row["is_usage_down"] for row in newest] == [0, 1, 0, 0]
    scores = {row["account_id"]: row["usage_decline"] for row in shanghai.read("int_churn__indicators") if row["is_current"]}
    assert [scores[account] for account in counts] == [pytest.approx(0.3), 0.5, 0, 1]


def test_an_indicator_has_no_score_before_its_source_has_arrived(shanghai: DbtProject) -> None:
    ticket = {"ticket_id": "t1", "account_id": "c1", "opened_at": datetime(2024, 2, 1), "severity": "High"}
    facts = {"subscriptions": [pays()], "tickets": [landed(ticket, 1, date(2024, 3, 20))]}
    check(shanghai, facts, SUNDAY)
    rows = sorted(shanghai.read("int_churn__indicators"), key=lambda row: row["as_of_date"])
    assert [row["support_tickets"] for row in rows[-3:]] == [None, 0.25, 0.25]
    assert {row["engagement_score"] for row in rows} == {None}
    assert {row[name] for row in rows for name in ("payment_issues", "contract_proximity", "feature_adoption")} == {None}


def test_an_indicator_is_of_what_was_delivered_of_it(shanghai: DbtProject) -> None:
    """Core events without named features count alone; what is overdue needs no payments; two accounts have no renewal."""
    noon = datetime(2024, 3, 30, 4)
    facts = {
        "events": [event(1, "value_achieved", noon, user_id="u1", account_id="c1", arrived_date=SUNDAY)],
        "subscriptions": [
            pays(),
            pays(subscription_id="s2", account_id="c2", status="past_due"),
            pays(subscription_id="s3", account_id="c3", renews_at=datetime(2025, 1, 1)),
        ],
    }
    check(shanghai, facts, SUNDAY)
    rows = {row["account_id"]: row for row in shanghai.read("int_churn__indicators") if row["is_current"]}
    assert [rows[account]["feature_adoption"] for account in ("c1", "c2", "c3")] == [1 - 1 / 8, 1, 1]
    assert [rows[account]["payment_issues"] for account in ("c1", "c2", "c3")] == [None, 1, None]
    assert [rows[account]["contract_proximity"] for account in ("c1", "c2", "c3")] == [0, 0, 0]


def subscribed(*currencies: str) -> Rows:
    """One paying subscription of one account in each currency, since January."""
    return [
        landed(
            {
                "subscription_id": f"s{number}",
                "account_id": f"c{number}",
                "changed_at": datetime(2024, 1, 10, 4),
                "plan": "professional",
                "mrr": Decimal(100),
                "currency": currency,
                "status": "active",
            },
            number,
            date(2024, 1, 11),
        )
        for number, currency in enumerate(currencies, start=1)
    ]


def test_an_account_whose_currency_has_no_rate_is_left_out(shanghai: DbtProject) -> None:
    """A rate of 0 is none; the rate before it holds."""
    rates = [("CNY", date(2024, 1, 1), "0.14"), ("CNY", date(2024, 2, 1), "0"), ("EUR", date(2024, 1, 1), "0")]
    facts = {
        "subscriptions": subscribed("USD", "CNY", "EUR", "CHF"),
        "fx_rates": [
            landed({"rate_date": day, "currency": currency, "usd_rate": Decimal(rate)}, number, day)
            for number, (currency, day, rate) in enumerate(rates)
        ],
    }
    expected = check(shanghai, facts, SUNDAY)
    assert {account: row["mrr_usd"] for (day, account), row in expected.items() if day == SUNDAY} == {"c1": 100, "c2": 14}


def test_a_reporting_currency_needs_no_rate_of_its_own(new_york: DbtProject) -> None:
    expected = check(new_york, {"subscriptions": subscribed("USD", "CNY")}, SUNDAY)
    assert {account: row["mrr_usd"] for (day, account), row in expected.items() if day == SUNDAY} == {"c2": 100}
