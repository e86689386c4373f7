"""No mart counts a fact after the last complete day, at any grain: it is the same with such facts and without."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from orchestration.config.project import DBT_PROJECT
from tests.dbt.facts import Rows, event, landed
from tests.dbt.harness import DbtProject
from tests.selection import usually

# The quality of what arrived is counted by arrival, the ledger is written by the comparison with the last release.
BY_ARRIVAL = {"mart_data_quality__daily", "mart_restatements__release"}
OF_ARRIVALS = "data_accuracy"
MARTS = sorted({path.stem for path in (DBT_PROJECT / "models" / "marts").rglob("mart_*.sql")} - BY_ARRIVAL)
LAST = date(2024, 3, 31)
NOON = datetime(2024, 2, 29, 4)  # noqa: DTZ001 (noon in Shanghai, as the lake has it: UTC without saying so)
NAMES = ("page_viewed", "signup_completed", "logged_in", "value_achieved", "match_requested", "product_viewed", "cart_added")


def company(at: datetime, known: date, prefix: str) -> dict[str, Rows]:
    """Facts of every source at one instant, of accounts and persons of their own and of ones that others share."""
    account, user = f"{prefix}-account", f"{prefix}-user"
    money: dict[str, Any] = {"currency": "USD"}
    rows: dict[str, Rows] = {
        "events": [
            event(0, name, at + timedelta(seconds=number), user_id=owner, account_id="shared-account")
            | {"event_id": f"{prefix}{owner}{name}"}
            for owner in (user, "shared-user")
            for number, name in enumerate(NAMES)
        ],
        "users": [{"user_id": user, "account_id": account, "signed_up_at": at, "role": "owner"}],
        "accounts": [{"account_id": account, "created_at": at, "industry": "retail"}],
        "subscriptions": [
            {
                "subscription_id": f"{prefix}{owner}",
                "account_id": owner,
                "changed_at": at,
                "plan": "professional",
                "status": "active",
            }
            | money
            | {"mrr": Decimal(100)}
            for owner in (account, "shared-account")
        ],
        "payments": [
            {"payment_id": f"{prefix}{owner}", "account_id": owner, "paid_at": at, "kind": "subscription", "status": "succeeded"}
            | money
            | {"amount": Decimal(100)}
            for owner in (account, "shared-account")
        ],
        "orders": [
            {
                "order_id": f"{prefix}{owner}",
                "user_id": owner,
                "ordered_at": at,
                "amount": Decimal(50),
                "refunded_amount": Decimal(5),
            }
            | money
            for owner in (user, "shared-user")
        ],
        "ad_spend": [
            {"spend_date": at.date(), "utm_source": "google", "utm_medium": "cpc", "cost": Decimal(10), "clicks": 1} | money
        ],
        "tickets": [
            {"ticket_id": prefix, "account_id": "shared-account", "user_id": "shared-user", "opened_at": at, "contacts": 1}
            | {"first_response_at": at, "resolved_at": at}
        ],
        "surveys": [{"response_id": prefix, "user_id": "shared-user", "responded_at": at, "kind": "nps", "score": 9}],
        "feedback": [{"feedback_id": prefix, "user_id": "shared-user", "created_at": at, "text": "x", "answered_at": at}],
        "wecom": [
            {"interaction_id": f"{prefix}{kind}", "contact_id": "c", "user_id": "shared-user", "kind": kind, "occurred_at": at}
            for kind in ("friend_requested", "friend_accepted", "message_sent", "message_replied")
        ],
        "outcomes": [{"account_id": "shared-account", "measured_at": at, "expected_roi": Decimal(2), "actual_roi": Decimal(1)}],
    }
    return {
        source: [landed(row, number, known, f"{prefix}.parquet") for number, row in enumerate(found)]
        for source, found in rows.items()
    }


def together(*parts: dict[str, Rows]) -> dict[str, Rows]:
    return {source: [row for part in parts for row in part[source]] for source in parts[0]}


@pytest.fixture(scope="module")
def before() -> dict[str, Rows]:
    moments = [NOON - timedelta(days=45), NOON, NOON + timedelta(days=31)]
    return together(*(company(at, min(at.date() + timedelta(days=1), LAST), f"p{number}") for number, at in enumerate(moments)))


def test_what_happens_tomorrow_does_not_count_today(shanghai: DbtProject, before: dict[str, Rows]) -> None:
    """Clocks run ahead and `required_sources` hold the day back: facts of the day after arrive before it is complete."""
    after = company(NOON + timedelta(days=32), LAST, "later")
    expected, found = (_marts(shanghai, facts, LAST) for facts in (before, together(before, after)))
    assert {mart for mart in MARTS if found[mart] != expected[mart]} == set()


def test_the_same_facts_count_when_their_day_has_come(shanghai: DbtProject, before: dict[str, Rows]) -> None:
    """Else nothing would be shown by their not counting."""
    facts = together(before, company(NOON + timedelta(days=32), LAST, "later"))
    today, tomorrow = (_marts(shanghai, facts, LAST + timedelta(days=days)) for days in (0, 1))
    for mart in ("mart_engagement__daily", "mart_retention__cohort", "mart_mrr__month", "mart_ltv__cohort", "mart_funnel__entry"):
        assert today[mart] != tomorrow[mart]


def _marts(project: DbtProject, facts: dict[str, Rows], data_through: date) -> dict[str, list[str]]:
    """The rows of every mart, sorted, without figures that count by arrival."""
    project.build(MARTS, facts, project.reporting(data_through))
    return {mart: sorted(str(row) for row in project.read(mart) if row.get("metric") != OF_ARRIVALS) for mart in MARTS}


SOURCES = ("events", "users", "subscriptions", "payments", "ad_spend", "tickets", "surveys", "feedback")


@pytest.mark.parametrize("source", usually(SOURCES, 3))
def test_a_source_of_which_all_happens_tomorrow_is_not_delivered_today(
    shanghai: DbtProject, before: dict[str, Rows], source: str
) -> None:
    """What needs it is unknown: not 0, and not another figure than without the source."""
    reporting = shanghai.reporting(LAST)
    tomorrow = company(NOON + timedelta(days=32), LAST, "later")[source]
    found = []
    for rows in ([], tomorrow):
        nodes = shanghai.run("mart_metric_tree__current", {**before, source: rows}, reporting)
        ancestors = ("mart_metric__daily", "mart_health__account", "mart_ltv_cac__channel_month", "mart_retention__cohort")
        nodes += [row for mart in ancestors for row in shanghai.read(mart)]
        found.append(sorted(str(row) for row in nodes if row.get("metric") != OF_ARRIVALS))
    assert found[0] == found[1]
