"""mart_ltv__customer against its oracle: random customers, and what models may say of each."""
# ruff: noqa: DTZ001 - timestamps of the lake are naive UTC

from datetime import date, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.dbt.comparison import assert_same
from tests.dbt.facts import MIDNIGHTS, RANDOM, events, fx_rates, last_day, orders, payments, users
from tests.dbt.harness import DbtProject
from tests.oracles.clv import HORIZONS, ltv_customers, shop_customers

MART = "mart_ltv__customer"
FAR = (*MIDNIGHTS, datetime(2024, 2, 1), datetime(2024, 5, 31))


@settings(RANDOM, max_examples=8)
@given(data=st.data())
def test_values_of_random_customers(shanghai: DbtProject, data: st.DataObject) -> None:
    zone = shanghai.reporting(date(2024, 1, 1)).timezone
    facts = {
        "events": data.draw(events(zone, ("x",), shanghai.config.bot_events_per_day, size=8)),
        "users": data.draw(users(zone)),
        "orders": data.draw(orders(zone, FAR)),
        "payments": data.draw(payments(zone, FAR)),
        "fx_rates": data.draw(fx_rates(FAR)),
    }
    reporting = shanghai.reporting(last_day(zone, facts) + timedelta(days=data.draw(st.sampled_from((-31, 0, 1, 400)))))
    worth = st.sampled_from((None, 0.0, 0.0033, 41.1525, 12345.6789))
    predictions = [predicted(person, data.draw(worth)) for (person,) in shop_customers(facts, reporting)]
    rows = shanghai.run(MART, facts, reporting, predictions={"ltv_customers": predictions})
    assert_same(rows, ("as_of_date", "person_id"), ltv_customers(facts, reporting, predictions))


def predicted(person: str, worth: float | None) -> dict:
    """What a model says of a customer that is worth so much in its first year; without one, the reason."""
    names = ("p_alive", "expected_orders_90d", "expected_orders_365d")
    said = {name: None if worth is None else (number + 1) / 3 for number, name in enumerate(names)}
    said["expected_order_value"] = worth
    said |= {f"predicted_ltv_{horizon}m": None if worth is None else worth + number for number, horizon in enumerate(HORIZONS)}
    return {"person_id": person, **said, "method": "none: no stable fit" if worth is None else "bg_nbd_gamma_gamma"}
