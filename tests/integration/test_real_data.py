"""The real data sets, imported and built as the README says, and the figures that are known of them."""

from decimal import Decimal
from pathlib import Path

import pytest

from tests.integration.conftest import ask, copy_home, current, look

pytestmark = pytest.mark.real_data

# The click-stream's own event names, in the order of a purchase. Of these six steps the data set's notes give the counts.
PURCHASE = ("product_view", "add_to_cart", "cart", "shipping_details", "payment_details", "purchase")


def _funnels() -> str:
    steps = ", ".join(f'{{ step = "{event}", event = "{event}" }}' for event in PURCHASE)
    from_catalog = ", ".join(
        f'{{ step = "{event}", event = "{event}" }}'
        for event in ("catalog", "product_view", "add_to_cart", "cart", "shipping_details", "purchase")
    )
    return f"""
        reporting_currency = "GBP"
        reporting_timezone = "Europe/London"
        [[funnels]]
        name = "purchase_7d"
        window = "7d"
        steps = [{steps}]
        [[funnels]]
        name = "purchase"
        steps = [{steps}]
        [[funnels]]
        name = "catalog_7d"
        window = "7d"
        steps = [{from_catalog}]
    """


@pytest.fixture(scope="module")
def home(prepared, tmp_path_factory, northstar, real_data) -> Path:
    home = copy_home(prepared, tmp_path_factory.mktemp("real") / "home")
    (home / "northstar.toml").write_text(_funnels(), encoding="utf-8")
    for adapter, file in (("online_retail", "online_retail.parquet"), ("ecom_events", "ecom_events.csv.gz")):
        imported = northstar(home, "import", adapter, str(real_data / file))
        assert imported.returncode == 0, imported.stderr
        (home / f"{adapter}.txt").write_text(imported.stdout)
    night = northstar(home, "nightly")
    assert night.returncode == 0, night.stdout + night.stderr
    return home


def test_nothing_is_refused(home):
    assert list((home / "quarantine").rglob("*.parquet")) == []
    assert current(home)["sources"]["events"]["rows"] == 31_106


def test_customers_returns_and_revenue_of_online_retail(home):
    said = (home / "online_retail.txt").read_text()
    assert "customers, counted over all lines that name one: 4,372" in said
    assert "lines without a customer, in payments alone: 135,080" in said
    assert "lines with a negative quantity: 10,624" in said
    # All lines, returns and those without a customer included, are in the payments.
    net = "sum(case status when 'succeeded' then amount when 'refunded' then -amount end)"
    assert look(home, f"select round({net}, 2) from core.fct_payments") == [(Decimal("9747747.93"),)]
    # Lines that name a customer are in the orders: returns included, bought with a price, and what was paid for that.
    assert look(home, "select count(distinct user_id) from core.fct_orders") == [(4_372,)]
    assert look(home, "select count(distinct user_id) from core.fct_orders where amount > 0") == [(4_338,)]
    assert look(home, "select round(sum(amount), 2) from core.fct_orders") == [(Decimal("8911407.90"),)]


def test_the_first_cohort_of_online_retail(home):
    """Customers by their first purchase (a line with Quantity > 0); returns alone are no purchase."""
    row = ask(
        home,
        """
        select cohort_count, retained_count, is_mature from marts.mart_retention__cohort
        where cohort_event = 'first_order' and rule = 'exact' and cohort_grain = 'month' and dimension = 'all'
          and cohort_start = date '2010-12-01' and period_index between 0 and 5
        order by period_index
        """,
    )
    assert row == [(885, count, True) for count in (885, 324, 286, 340, 321, 352)]


@pytest.mark.parametrize(
    ("funnel", "counts"),
    [
        ("purchase_7d", [598, 487, 353, 210, 109, 40]),
        ("purchase", [598, 517, 429, 329, 222, 114]),
        ("catalog_7d", [600, 591, 410, 267, 145, 50]),
    ],
)
def test_the_funnel_of_the_click_stream(home, funnel, counts):
    rows = ask(
        home,
        f"""
        select person_count from marts.mart_funnel__entry
        where funnel = '{funnel}' and entry_grain = 'all' and dimension = 'all' order by step_number
        """,
    )
    assert [count for (count,) in rows] == counts


def test_revenue_of_the_cohorts_is_the_customers_revenue(home):
    """What the cohorts show is the orders of those who purchased, net of returns; to half a cent for each of the cells."""
    shown, cells = ask(home, "select sum(revenue), count(*) from marts.mart_ltv__cohort where dimension = 'all'")[0]
    earned = look(
        home,
        """
        select sum(amount - refunded_amount) from core.fct_orders
        where user_id in (select user_id from core.fct_orders where is_purchase)
        """,
    )[0][0]
    assert abs(shown - earned) <= Decimal("0.005") * cells


def test_channels_of_the_click_stream_are_found_again(home):
    channels = {channel for (channel,) in look(home, "select distinct channel from core.dim_persons where channel is not null")}
    assert channels == {"organic_search", "paid_search", "email", "organic_social", "direct"}
