"""The real data sets, imported and built as docs/first-data.md says, and the figures that are known of them."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from expectations.registry import SUITES
from tests.integration.conftest import ask, copy_home, current, look

pytestmark = [pytest.mark.real_data, pytest.mark.long]

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


@pytest.fixture(scope="module")
def raw(real_data) -> Iterator[duckdb.DuckDBPyConnection]:
    """The files as they are, no adapter between: `clicks` and `lines`, each with its calendar day in London."""
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(
            f"""
            create table clicks as
            select *, "timestamp" at time zone 'UTC' at time zone 'Europe/London' as local_at, local_at::date as day
            from read_csv('{real_data}/ecom_events.csv.gz')
            """
        )
        connection.execute(
            f"""
            create table lines as
            select
              "CustomerID" as customer, "InvoiceDate" as local_at, "InvoiceDate"::date as day, "Quantity" as quantity,
              "Quantity" * "UnitPrice"::varchar::decimal(18, 4) as amount
            from '{real_data}/online_retail.parquet'
            """
        )
        yield connection


def test_what_can_be_said_of_these_sources_is_published_and_the_rest_is_named(home):
    manifest = current(home)
    reasons = dict.fromkeys(
        ("mart_mrr__month", "mart_health__account", "mart_churn__account"), "none of subscriptions has landed"
    ) | {"mart_ltv_cac__channel_month": "none of ad_spend has landed"}
    assert manifest["left_out"] == reasons
    assert set(manifest["marts"]) == set(SUITES) - set(reasons)
    # A first release restates nothing.
    assert {mart for mart, record in manifest["marts"].items() if not record["rows"]} == {"mart_restatements__release"}
    tables = {name for (name,) in ask(home, "select table_name from duckdb_tables() where database_name = 'marts'")}
    assert tables == set(manifest["marts"]) | {"_publication"}
    sources = {name for name, record in manifest["sources"].items() if record["rows"]}
    assert sources == {"events", "orders", "payments"}


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


def test_engagement_of_every_day_of_the_click_stream(home, raw):
    """Visitors of the day, of seven and of thirty days, first visits, and the file's own sessions with their length.

    The file names its sessions; the mart ends one after half an hour of silence. In this file both cut alike.
    """
    counted = raw.execute(
        """
        with
          days as (select distinct user_id, day from clicks),
          dates as (select unnest(generate_series(min(day), max(day), interval 1 day))::date as date from clicks),
          sessions as (
            select min(day) as date, date_diff('second', min("timestamp"), max("timestamp")) / 60 as minutes
            from clicks group by session_id
          )
        select
          dates.date,
          count(distinct days.user_id) filter (days.day = dates.date),
          count(distinct days.user_id) filter (days.day > dates.date - 7),
          count(distinct days.user_id),
          (select count(*) from (select user_id from clicks group by user_id having min(day) = dates.date)),
          (select count(*) from sessions where sessions.date = dates.date),
          (select round(avg(minutes), 6) from sessions where sessions.date = dates.date)
        from dates inner join days on days.day between dates.date - 29 and dates.date
        group by dates.date order by dates.date
        """
    ).fetchall()
    assert len(counted) == 178
    assert counted == ask(
        home,
        """
        select date, active_count, wau, mau, new_count, session_count, round(session_minutes_avg, 6)
        from marts.mart_engagement__daily where dimension = 'all' order by date
        """,
    )


def test_visitors_and_sessions_by_channel_of_the_click_stream(home, raw):
    named = {"organic": "organic_search", "social": "organic_social"}
    counted = raw.execute(
        "select acquisition_channel, count(distinct user_id), count(distinct session_id) from clicks group by acquisition_channel"
    ).fetchall()
    assert sum(users for _, users, _ in counted) == 600
    assert sorted((named.get(channel, channel), *counts) for channel, *counts in counted) == ask(
        home,
        """
        select segment, sum(new_count)::bigint, sum(session_count)::bigint from marts.mart_engagement__daily
        where dimension = 'channel' group by segment order by segment
        """,
    )


# What a person's return is, as (person, day) over the raw files, by the event that founds the cohort.
RETURNS = {
    "first_seen": "select user_id as person, day from clicks",
    "first_order": "select customer as person, day from lines where customer is not null and quantity > 0",
}


@pytest.mark.parametrize("cohort_event", RETURNS)
@pytest.mark.parametrize("grain", ["week", "month"])
def test_retention_in_every_mature_cell(home, raw, cohort_event, grain):
    counted = raw.execute(
        f"""
        with
          periods as (select distinct person, date_trunc('{grain}', day)::date as period from ({RETURNS[cohort_event]})),
          cohorts as (select person, min(period) as start from periods group by person),
          sizes as (select start, count(*) as size from cohorts group by start)
        select start, date_diff('{grain}', start, period) as period_index, size, count(*)
        from periods inner join cohorts using (person) inner join sizes using (start)
        group by all
        """
    ).fetchall()
    cells = {(start, index): (size, count) for start, index, size, count in counted}
    published = ask(
        home,
        f"""
        select cohort_start, period_index, cohort_count, retained_count from marts.mart_retention__cohort
        where cohort_event = '{cohort_event}' and rule = 'exact' and cohort_grain = '{grain}' and dimension = 'all' and is_mature
        """,
    )
    assert len(published) >= 15
    # A cell in which nobody came back is published as 0 and not there in the count.
    assert {(start, index): (size, count) for start, index, size, count in published if count} == {
        key: cells[key] for key in cells.keys() & {(start, index) for start, index, _, _ in published}
    }
    assert {start for start, _ in cells} == {start for start, *_ in published} | _not_over(home, cohort_event, grain)


def _not_over(home: Path, cohort_event: str, grain: str) -> set:
    """Cohorts whose own period is still running at the end of the data."""
    rows = ask(
        home,
        f"""
        select cohort_start from marts.mart_retention__cohort
        where cohort_event = '{cohort_event}' and rule = 'exact' and cohort_grain = '{grain}' and dimension = 'all'
          and period_index = 0 and not is_mature
        """,
    )
    return {start for (start,) in rows}


def test_value_of_every_cohort_of_online_retail(home, raw):
    """Customers, revenue and margin by month of first purchase and age, from the lines.

    Returns count when they were brought back, those before the first purchase in the cohort's first month. Margin is the
    configured share of revenue, for the file knows no cost.
    """
    counted = raw.execute(
        """
        with
          cohorts as (
            select customer, min(date_trunc('month', day)) filter (quantity > 0)::date as cohort
            from lines where customer is not null group by customer having cohort is not null
          ),
          sizes as (select cohort, count(*) as size from cohorts group by cohort)
        select
          cohort, greatest(date_diff('month', cohort, day), 0) as age, size, sum(amount)::decimal(18, 2)
        from lines inner join cohorts using (customer) inner join sizes using (cohort)
        group by cohort, age, size order by cohort, age
        """
    ).fetchall()
    published = ask(
        home,
        """
        select cohort_month, age_months, customer_count, revenue from marts.mart_ltv__cohort
        where dimension = 'all' and is_mature and revenue <> 0 order by cohort_month, age_months
        """,
    )
    assert len(published) > 80
    assert published == [row for row in counted if row[3]]
    off = ask(
        home,
        """
        select count(*) from marts.mart_ltv__cohort as cells
        where dimension = 'all' and is_mature and abs(cumulative_margin_per_customer - (
          select sum(revenue) * 0.8 / any_value(customer_count) from marts.mart_ltv__cohort as earlier
          where earlier.dimension = 'all' and earlier.cohort_month = cells.cohort_month and earlier.age_months <= cells.age_months
        )) > 0.01
        """,
    )
    assert off == [(0,)]


def test_every_landed_row_is_in_the_data_quality(home, raw):
    """By source and day: the file's lines as events, a customer's minute as an order, and what was paid and given back in one."""
    counted = raw.execute(
        """
        select day, 'events', count(*) from clicks group by day
        union all
        select day, 'orders', count(distinct (customer, local_at)) from lines where customer is not null group by day
        union all
        select day, 'payments', count(distinct (coalesce(customer::varchar, ''), local_at, amount > 0)) from lines
        where amount <> 0 group by day
        order by all
        """
    ).fetchall()
    flawless = (
        "quarantined_count + duplicate_count + late_count + coalesce(bot_count, 0) + landing_difference + fact_difference = 0"
    )
    published = ask(
        home,
        f"""
        select date, source, landed_count, landed_count = accepted_count and {flawless}
        from marts.mart_data_quality__daily order by date, source
        """,
    )
    assert [row[:3] for row in published] == counted
    assert {is_flawless for *_, is_flawless in published} == {True}


def test_the_first_loss_of_the_click_stream(home, raw):
    """Who viewed a product and put none into the cart within seven days: by week, and over the last 28 mature days."""
    carted = """
        create or replace temp table views as
        select user_id, day, exists (
          select 1 from clicks as later where later.user_id = clicks.user_id and later.event = 'add_to_cart'
            and later."timestamp" between clicks."timestamp" and clicks."timestamp" + interval 7 day
        ) as is_carted
        from clicks where event = 'product_view'
    """
    raw.execute(carted)
    persons = "select {0} user_id, max(is_carted::integer) as is_carted from views {1} group by all"
    weekly = raw.execute(
        f"""
        select week, count(*) from ({persons.format("date_trunc('week', day)::date as week,", "")}) where is_carted = 0
        group by week order by week
        """
    ).fetchall()
    stopped = ask(
        home,
        """
        select distinct week, stopped_count from marts.mart_funnel_exits__weekly
        where funnel = 'purchase_7d' and step_number = 1 order by week
        """,
    )
    assert len(stopped) > 20
    assert stopped == weekly
    mature = "where day between date '2024-05-26' and date '2024-06-22'"
    lost = raw.execute(f"select count(*), count(*) filter (is_carted = 0) from ({persons.format('', mature)})").fetchall()
    assert lost == ask(
        home,
        """
        select entrant_count, lost_person_count from marts.mart_funnel_opportunities__current
        where funnel = 'purchase_7d' and step = 'add_to_cart'
          and (first_entry_date, last_entry_date) = (date '2024-05-26', date '2024-06-22')
        """,
    )
