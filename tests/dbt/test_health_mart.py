"""mart_health__account against its oracle, on directed edges."""
# ruff: noqa: DTZ001, S311 - timestamps of the lake are naive UTC; the examples are the same on every run

from datetime import date, datetime, timedelta
from decimal import Decimal
from random import Random

import pytest

from tests.dbt.comparison import assert_same
from tests.dbt.customers import EVENT_NAMES, LAST_DAY, customers
from tests.dbt.facts import Rows, event, landed
from tests.dbt.harness import DbtProject
from tests.oracles.health import health
from tests.oracles.reporting import Facts

MART = "mart_health__account"
KEY = ("as_of_date", "account_id")
# A day on the grid of as-of dates: it is looked at in every later night too.
SUNDAY = date(2024, 3, 31)


def check(project: DbtProject, facts: Facts, data_through: date) -> dict:
    """Compare, and return the expected rows."""
    reporting = project.reporting(data_through)
    expected = health(facts, reporting, EVENT_NAMES)
    assert_same(project.run(MART, facts, reporting, event_names=EVENT_NAMES), KEY, expected)
    return expected


@pytest.mark.parametrize("seed", [120, 121])
def test_what_arrives_later_leaves_earlier_rows_as_they_were(shanghai: DbtProject, seed: int) -> None:
    facts = customers(Random(seed), shanghai.reporting(LAST_DAY).timezone, shanghai.config.bot_events_per_day)
    earlier = {source: [row for row in rows if row["arrived_date"] <= SUNDAY] for source, rows in facts.items()}
    before, after = (
        {
            (row["as_of_date"], row["account_id"]): row
            for row in shanghai.run(MART, rows, shanghai.reporting(day), event_names=EVENT_NAMES)
        }
        for rows, day in ((earlier, SUNDAY), (facts, LAST_DAY))
    )
    assert before == {key: row for key, row in after.items() if key[0] <= SUNDAY}
    assert len(before) < len(after)


def pays(account: str, day: date, **more) -> dict:
    row = {
        "subscription_id": account,
        "account_id": account,
        "changed_at": datetime(day.year, day.month, day.day, 4),
        "plan": "professional",
        "mrr": Decimal(100),
        "currency": "USD",
        "status": "active",
    }
    return landed({**row, **more}, 1, day)


def first_weeks(
    first: date, *, users: int = 4, logins: int = 4, features: int = 6, core: tuple = ("asked", "value_achieved")
) -> Rows:
    """What an account did that is doing well in its first fortnight; fewer of anything is not enough."""
    start = datetime(first.year, first.month, first.day, 4)
    done = [("logged_in", "u1", 6, None)] * logins + [("feature_used", "u2", 6, f"f{number}") for number in range(features)]
    done += [("x", f"u{number}", 7, None) for number in range(users)] + [(name, "u1", 13, None) for name in core]
    return [
        event(number, name, start + timedelta(days=day, minutes=number), user_id=user, account_id="c1", feature=feature)
        for number, (name, user, day, feature) in enumerate(done)
    ]


@pytest.mark.parametrize(
    ("lacking", "nps", "ticket_day", "stage"),
    [
        ({}, 8, 7, "adoption"),
        ({"logins": 3}, 8, 7, "onboarding"),
        ({"features": 5}, 8, 7, "onboarding"),
        ({"users": 3}, 8, 7, "onboarding"),
        ({"core": ("asked",)}, 8, 7, "onboarding"),
        ({}, 7, 7, "onboarding"),
        ({}, 8, 6, "onboarding"),
    ],
)
def test_an_account_leaves_onboarding_early_by_all_its_criteria(
    shanghai: DbtProject, lacking: dict, nps: int, ticket_day: int, stage: str
) -> None:
    first = SUNDAY - timedelta(days=20)
    moment = datetime(first.year, first.month, first.day, 4)
    facts = {
        "subscriptions": [pays("c1", first), pays("c9", date(2024, 1, 1))],
        "events": first_weeks(first, **lacking),
        "surveys": [
            landed({"response_id": "r1", "account_id": "c1", "responded_at": moment, "kind": "nps", "score": nps}, 1, first)
        ],
        "tickets": [landed({"ticket_id": "t1", "account_id": "c1", "opened_at": moment + timedelta(days=ticket_day)}, 1, SUNDAY)],
    }
    assert check(shanghai, facts, SUNDAY)[SUNDAY, "c1"]["lifecycle_stage"] == stage


def test_a_component_without_facts_is_left_out_and_silence_is_a_fact(shanghai: DbtProject) -> None:
    """c1 was last active before the 90 days, c2 never; c3 has a ticket, so that its weight is the whole."""
    facts = {
        "subscriptions": [pays(account, date(2024, 1, 2)) for account in ("c1", "c2", "c3")],
        "events": [event(1, "logged_in", datetime(2023, 12, 1), user_id="u1", account_id="c1")],
        "tickets": [landed({"ticket_id": "t", "account_id": "c3", "opened_at": datetime(2024, 3, 30)}, 1, SUNDAY)],
    }
    rows = check(shanghai, facts, SUNDAY)
    silent, unheard, asked = (rows[SUNDAY, account] for account in ("c1", "c2", "c3"))
    assert (silent["product_usage_score"], silent["light"]) == (0, "red")
    assert unheard["missing_components"] == (
        "product_usage, feature_adoption, support_engagement, business_outcomes, relationship_health, account_growth"
    )
    assert (unheard["health_score"], unheard["light"], unheard["risk_factors"]) == (None, None, None)
    # Nothing ever said how tickets went on: their number alone counts.
    assert asked["health_score"] == asked["support_engagement_score"] == 75
    assert asked["missing_terms"] == "support_engagement: first_responses, resolutions, contacts"
    assert silent["missing_terms"] == "product_usage: features, session_minutes"
    assert (asked["risk_factors"], asked["improvement_opportunities"]) == (None, "support_engagement")


@pytest.mark.parametrize(("day", "before"), [(date(2024, 4, 1), 33), (date(2024, 4, 2), 26), (date(2024, 3, 31), 32)])
def test_the_trend_is_that_of_a_month_before(shanghai: DbtProject, day: date, before: int) -> None:
    """Of every 8th day one lies 26 to 33 days before, both included; who was no customer then has no trend."""
    facts = {
        "subscriptions": [pays("c1", date(2024, 1, 2)), pays("c2", date(2024, 3, 20))],
        "events": [
            event(number, "logged_in", datetime(2024, 2, 25, 4) + timedelta(days=number), user_id="u1", account_id=account)
            for number, account in enumerate(["c1"] * 30 + ["c2"] * 5)
        ],
    }
    rows = check(shanghai, facts, day)
    former = rows[day - timedelta(days=before), "c1"]["health_score"]
    assert rows[day, "c1"]["trend_30d"] == rows[day, "c1"]["health_score"] - former > 0
    assert rows[day, "c2"]["trend_30d"] is None


@pytest.mark.parametrize(
    ("names", "usage", "adoption", "missing"),
    [
        (["logged_in"] * 20, 100, None, "product_usage: features, session_minutes"),
        (["bought"] * 20, None, None, None),
        (["match_requested"] * 8, None, 100, "feature_adoption: features"),
        (["feature_used"] * 8, 100, 100, "product_usage: logins, session_minutes; feature_adoption: core_features, core_events"),
    ],
    ids=["logins alone", "names of its own", "core events alone", "features alone"],
)
def test_a_term_that_nobody_could_earn_costs_nobody(shanghai: DbtProject, names, usage, adoption, missing) -> None:
    """Events on days of their own, so that no session lasts: what a company never sends says nothing of its customers."""
    facts = {
        "subscriptions": [pays("c1", date(2024, 1, 2))],
        "events": [
            event(number, name, datetime(2024, 3, 30, 4) - timedelta(days=number), user_id="u1", account_id="c1", feature="f1")
            for number, name in enumerate(names)
        ],
    }
    row = check(shanghai, facts, SUNDAY)[SUNDAY, "c1"]
    assert (row["product_usage_score"], row["feature_adoption_score"], row["missing_terms"]) == (usage, adoption, missing)


def test_feedback_that_nobody_could_answer_is_no_sign_of_neglect(shanghai: DbtProject) -> None:
    """Without the column `answered_at` the survey alone counts; one answer to another account makes it a fact."""
    said = {"text": "x", "created_at": datetime(2024, 3, 29)}
    facts = {
        "subscriptions": [pays(account, date(2024, 1, 2)) for account in ("c1", "c2")],
        "surveys": [
            landed(
                {"response_id": "r", "account_id": "c1", "responded_at": datetime(2024, 3, 29), "kind": "nps", "score": 8},
                1,
                SUNDAY,
            )
        ],
        "feedback": [landed({"feedback_id": f"f{n}", "account_id": f"c{n}", **said}, n, SUNDAY) for n in (1, 2)],
    }
    row = check(shanghai, facts, SUNDAY)[SUNDAY, "c1"]
    assert (row["relationship_health_score"], row["missing_terms"]) == (80, "relationship_health: answers")
    facts["feedback"][1]["answered_at"] = datetime(2024, 3, 30)
    row = check(shanghai, facts, SUNDAY)[SUNDAY, "c1"]
    assert (row["relationship_health_score"], row["missing_terms"]) == (40, None)
