"""What lifetime values are predicted from, against its oracle, on random customers and subscriptions."""
# ruff: noqa: DTZ001 - timestamps of the lake are naive UTC

from datetime import date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.dbt.comparison import assert_same
from tests.dbt.facts import MIDNIGHTS, RANDOM, accounts, events, fx_rates, last_day, orders, payments, subscriptions, users
from tests.dbt.harness import DbtProject
from tests.oracles.clv import account_customers, shop_customers, subscription_tenures

FAR = (*MIDNIGHTS, datetime(2024, 1, 31), datetime(2024, 2, 1), datetime(2024, 4, 1), datetime(2024, 5, 31))
MODELS = {
    "int_clv__shop_customers": (("person_id",), shop_customers),
    "int_clv__account_customers": (("customer_id",), account_customers),
    "int_clv__subscription_tenures": (("plan", "channel", "period"), subscription_tenures),
}
TERMS = (None, -1, 1, 29, 31, 366, 800)


def draw_facts(data: st.DataObject, project: DbtProject):
    zone = project.reporting(date(2024, 1, 1)).timezone
    facts = {
        "events": data.draw(events(zone, ("x",), project.config.bot_events_per_day, size=12)),
        "users": data.draw(users(zone)),
        "accounts": data.draw(accounts()),
        "orders": data.draw(orders(zone, FAR)),
        "payments": data.draw(payments(zone, FAR)),
        "subscriptions": data.draw(subscriptions(zone, FAR)),
        "fx_rates": data.draw(fx_rates(FAR)),
    }
    for row in facts["subscriptions"]:
        days = data.draw(st.sampled_from(TERMS))
        row["renews_at"] = None if days is None else row["changed_at"] + timedelta(days=days)
    return facts, last_day(zone, facts) + timedelta(days=data.draw(st.sampled_from((-31, -1, 0, 1, 2, 20, 31, 100, 400, 800))))


def compare(project: DbtProject, data: st.DataObject, model: str) -> None:
    facts, data_through = draw_facts(data, project)
    reporting = project.reporting(data_through)
    key, oracle = MODELS[model]
    assert_same(project.run(model, facts, reporting), key, oracle(facts, reporting))


@pytest.mark.parametrize("model", MODELS)
@settings(RANDOM, max_examples=10)
@given(data=st.data())
def test_inputs_of_random_customers(shanghai: DbtProject, data: st.DataObject, model: str) -> None:
    compare(shanghai, data, model)


@pytest.mark.parametrize("model", MODELS)
@settings(RANDOM, max_examples=4)
@given(data=st.data())
def test_inputs_in_renminbi(new_york: DbtProject, data: st.DataObject, model: str) -> None:
    compare(new_york, data, model)
