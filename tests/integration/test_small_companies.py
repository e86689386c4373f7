"""Nights of tiny and one-sided companies: what their sound data cannot fill is left out with a reason, never refused."""

import shutil
from datetime import timedelta

import duckdb
import pytest

from orchestration.config.loading import load
from orchestration.night import omissions
from orchestration.night.run import Night
from orchestration.warehouse import inputs
from tests.integration.conftest import at_home, copy_home
from tests.integration.shapes import SHAPES
from tests.integration.tiny import FIRST, Company

FUNNEL_MARTS = {"mart_funnel__entry", "mart_funnel_exits__weekly"}
# Of who enters a funnel whose next step nobody ever sent, it is unknown who stopped.
NO_EXITS = {"mart_funnel_exits__weekly"}

# Marts whose sources have landed and that have no row all the same, after each night of a shape.
LEFT_OUT = {
    "without_a_shop": [{*FUNNEL_MARTS, "mart_ltv__customer"}] * 2,
    "everybody_churned": [NO_EXITS] * 2,
    "one_day_late": [NO_EXITS] * 2,
    "only_events": [NO_EXITS] * 2,
    "only_orders": [set()] * 2,
    "only_subscriptions": [set()] * 2,
    "only_payments": [{"mart_ltv__customer", "mart_retention__cohort"}] * 2,
    "subscriptions_and_payments": [{"mart_ltv__customer"}] * 2,
    "everything_but_events": [set()] * 2,
    "everybody_gets_through": [{"mart_funnel_exits__weekly"}] * 2 + [set()],
    "every_customer_internal": [
        {*FUNNEL_MARTS, "mart_engagement__daily", "mart_retention__cohort", "mart_ltv__cohort", "mart_ltv__customer"}
    ]
    * 2
    + [set()],
    "churned_at_once": [{"mart_health__account", *NO_EXITS}] * 2,
    "single_day": [NO_EXITS] * 2,
    "one_person": [NO_EXITS] * 2,
    "unmapped_names": [FUNNEL_MARTS] * 2,
    "paying_without_subscriptions": [NO_EXITS] * 2,
}


def _empty(manifest: dict) -> set[str]:
    return {
        mart
        for mart, reason in manifest["left_out"].items()
        if not reason.endswith("has landed") and mart != "mart_churn__account"
    }


def test_every_shape_says_what_is_left_out() -> None:
    assert LEFT_OUT.keys() == SHAPES.keys()


@pytest.mark.long
@pytest.mark.parametrize("shape", SHAPES)
def test_every_night_of_a_sound_company_is_published(prepared, tmp_path, shape) -> None:
    company = Company(copy_home(prepared, tmp_path / "home"))
    found = []
    for land in SHAPES[shape]:
        land(company)
        manifest = company.night()
        found.append(_empty(manifest))
        tables = company.ask("select table_name from duckdb_tables() where database_name = 'marts'")
        assert {name for (name,) in tables} == {*manifest["marts"], "_publication"}
        # A mart that goes with a reason is no change that a reader has to be told of.
        assert not [change for change in manifest["schema_changes"] if change["kind"] == "removed"]
    assert found == LEFT_OUT[shape]


@pytest.fixture(scope="module")
def whole(tiny_home) -> Company:
    """A tiny company of all kinds of facts, after its first night."""
    return Company(tiny_home)


def _told(night: Night) -> tuple[dict[str, str], dict[str, str]]:
    """What a night on this build file would leave out, and what it would tell of empty marts that it keeps."""
    omitted = omissions.left_out(night)
    return omitted, omissions.awaited(night, night.specs.keys() - omitted.keys())


def test_refunds_of_orders_among_the_payments_count_once_or_are_told(refunded_home) -> None:
    company, day = Company(refunded_home), FIRST + timedelta(days=1)
    revenue = "select sum(revenue) from marts.mart_ltv__cohort where dimension = 'all' and segment = 'all'"
    # A return earns nothing whether or not a payment gives it back as well; three paid 100 for subscriptions.
    through = "select sum(numerator)::int from marts.mart_metric__daily where metric = 'revenue' and dimension = 'all'"
    assert company.ask(f"{through} and period = 'month' and period_start = '{FIRST.replace(day=1)}'") == [(300 + 30 - 10 - 4,)]
    assert company.ask(revenue) == [(None,)], "the month is not over"
    told = [line for line in (refunded_home / "warned.txt").read_text().splitlines() if "left out of revenue" in line]
    left_out = f"payments: left out of revenue: 1 order refund, the first of {day}: "
    assert told == [
        left_out + "the orders that they name have not landed in orders",
        left_out + "they name neither an order nor a payment. Fill order_id or refund_of",
    ]


def test_a_mart_that_a_defect_emptied_is_kept_for_the_gate_to_refuse(whole, tmp_path) -> None:
    """Each mart by itself, while the facts that it is made of are there."""
    filled = set(whole.manifest["marts"]) - {"mart_restatements__release"}
    home = tmp_path / "home"
    shutil.copytree(whole.home, home, symlinks=True)
    with at_home(home):
        night = Night(load())
    for mart in sorted(filled):
        with duckdb.connect(str(home / "warehouse.duckdb")) as connection:
            kept = connection.execute(f"from marts.{mart}").to_arrow_table()
            connection.execute(f"delete from marts.{mart}")
        left_out, awaited = _told(night)
        assert mart not in left_out
        assert mart in awaited or mart in {
            "mart_mrr__month",
            "mart_metric_tree__current",
            "mart_funnel_opportunities__current",
        }, mart
        with duckdb.connect(str(home / "warehouse.duckdb")) as connection:
            connection.register("kept", kept)
            connection.execute(f"insert into marts.{mart} from kept")
    assert filled >= {*FUNNEL_MARTS, "mart_ltv__customer", "mart_ltv_cac__channel_month", "mart_health__account"}


def test_every_input_is_counted_up_to_the_last_complete_day(whole) -> None:
    with duckdb.connect(str(whole.home / "warehouse.duckdb")) as connection:
        counted = {name: inputs.count(connection, name) for name in inputs.INPUTS}
        assert {name: facts.usable for name, facts in counted.items()} == {
            "events": 10,
            "arrivals": 6,
            "entrances": 4,
            "stops": 3,
            "persons": 10 + 4 + 3 + 3,
            "customers": 6,
            "shoppers": 3,
            "advertising": 1 + 4 + 6,
            "subscribers": 3,
            "payers": 3,
        }
        assert all(facts.newest for facts in counted.values())
        connection.execute("update control.run set data_through = data_through - 1")
        assert {name for name in inputs.INPUTS if inputs.count(connection, name).usable} <= {"stops", "subscribers"}
        connection.execute("update control.run set data_through = data_through + 1")


def test_facts_of_internal_users_excuse_a_mart_unless_it_had_many_rows(whole) -> None:
    internal = inputs.Facts(usable=0, excluded=4, newest=0)
    with duckdb.connect(str(whole.home / "warehouse.duckdb"), read_only=True) as connection:
        said = "all 4 purchases by persons are of bots or internal users"
        assert inputs.absence(connection, "shoppers", internal, rows_before=0) == said
        assert inputs.absence(connection, "shoppers", internal, rows_before=1_001) is None
        assert inputs.absence(connection, "shoppers", inputs.Facts(1, 4, 0), rows_before=0) is None
        assert inputs.absence(connection, "shoppers", inputs.Facts(0, 0, 0), rows_before=9_999).startswith("no person has bought")


def test_steps_that_nobody_ever_sent_are_named() -> None:
    with duckdb.connect() as connection:
        connection.execute("create schema intermediate")
        connection.execute(
            "create table intermediate.int_funnel__known_steps as from (values ('shop', 1, 'seen', 'product_viewed', true),"
            " ('shop', 2, 'cart', 'cart_added', false), ('shop', 3, 'bought', 'order_placed', false),"
            " ('plg', 1, 'visit', 'page_viewed', false)) as steps (funnel, step_number, step, event, is_known)"
        )
        connection.execute("create table intermediate.int_funnel__entries as select 'shop' as funnel")
        assert inputs.unsent_steps(connection) == [("shop", "cart", "cart_added")]
        connection.execute("update intermediate.int_funnel__known_steps set is_known = true")
        assert inputs.unsent_steps(connection) == []


def test_names_that_no_funnel_knows_are_told_with_the_way_out() -> None:
    with duckdb.connect() as connection:
        connection.execute("create schema core; create schema intermediate")
        connection.execute("create table intermediate.int_funnel__steps as select 1 as step_number, 'cart_added' as event")
        connection.execute("create table intermediate.int_events__unique (landed_event varchar, event varchar)")
        assert inputs.unmapped(connection) == ""
        connection.execute("insert into intermediate.int_events__unique select 'report_opened', 'report_opened' from range(800)")
        assert inputs.unmapped(connection) == (
            "no event is called cart_added: map your names in [event_names]; the most frequent unmapped names are"
            " 'report_opened' (800)"
        )
        connection.execute("insert into intermediate.int_events__unique values ('In den Korb', 'cart_added')")
        assert inputs.unmapped(connection) == ""
