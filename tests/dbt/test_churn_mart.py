"""mart_churn__account against its oracle, on directed edges."""
# ruff: noqa: DTZ001 - timestamps of the lake are naive UTC; the examples are the same on every run

from datetime import date, datetime
from decimal import Decimal

from tests.dbt.comparison import assert_same
from tests.dbt.customers import EVENT_NAMES
from tests.dbt.facts import Rows, landed
from tests.dbt.harness import DbtProject
from tests.oracles.churn import INDICATORS, churn_accounts
from tests.oracles.reporting import Facts

MART = "mart_churn__account"
KEY = ("as_of_date", "account_id")
BOUNDS = (0.1, 0.25, 0.5)
SUNDAY = date(2024, 3, 31)


def check(project: DbtProject, facts: Facts, data_through: date, scores: Rows) -> dict:
    """Compare, and return the expected rows."""
    reporting = project.reporting(data_through)
    expected = churn_accounts(facts, reporting, scores, BOUNDS, EVENT_NAMES)
    assert_same(project.run(MART, facts, reporting, event_names=EVENT_NAMES, predictions={"churn_scores": scores}), KEY, expected)
    return expected


def score(account: str, probability: float, day: date = SUNDAY, **contributions: float) -> dict:
    row = {"as_of_date": day, "account_id": account, "churn_probability": probability, "model_version": "m1"}
    return row | {f"{name}_contribution": contributions.get(name, 0.0) for name in INDICATORS}


def pays(*accounts: str) -> dict[str, Rows]:
    row = {"changed_at": datetime(2024, 1, 2), "plan": "professional", "mrr": Decimal(100), "currency": "USD", "status": "active"}
    return {
        "subscriptions": [
            landed({**row, "subscription_id": account, "account_id": account}, number, date(2024, 1, 2))
            for number, account in enumerate(accounts)
        ]
    }


def test_a_bound_belongs_to_the_level_above_it(shanghai: DbtProject) -> None:
    probabilities = (0.0999, 0.1, 0.2499, 0.25, 0.4999, 0.5)
    accounts = [f"c{number}" for number in range(len(probabilities))]
    scores = [score(account, probability) for account, probability in zip(accounts, probabilities, strict=True)]
    rows = check(shanghai, pays(*accounts), SUNDAY, scores)
    levels = [rows[SUNDAY, account]["risk_level"] for account in accounts]
    assert levels == ["low", "medium", "medium", "high", "high", "critical"]
    assert [rows[SUNDAY, account]["intervention_priority"] for account in accounts] == [6, 5, 4, 3, 2, 1]


def test_the_strongest_three_are_key_and_those_that_raise_it_say_what_to_do(shanghai: DbtProject) -> None:
    scores = [
        score("c1", 0.3, usage_decline=0.5, support_tickets=-0.5, payment_issues=0.1, contract_proximity=0.2),
        score("c2", 0.3, engagement_score=-0.1),
        score("c3", 0.3),
    ]
    rows = check(shanghai, pays("c1", "c2", "c3"), SUNDAY, scores)
    first, second, third = (rows[SUNDAY, account] for account in ("c1", "c2", "c3"))
    assert first["key_indicators"] == "+usage_decline, -support_tickets, +contract_proximity"
    assert first["recommended_actions"].count(";") == 1
    assert (second["key_indicators"], second["recommended_actions"]) == ("-engagement_score", None)
    assert (third["key_indicators"], third["recommended_actions"]) == (None, None)
    # Equal risks: the smallest id is first.
    assert [row["intervention_priority"] for row in (first, second, third)] == [1, 2, 3]
