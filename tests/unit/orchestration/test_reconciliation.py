"""What the lake's files say of advertising, against sums worked out by hand."""

from datetime import date
from decimal import Decimal

import duckdb
import pytest

from orchestration.warehouse.reconciliation import advertised

COSTS = """
    VALUES (DATE '2026-01-01', 'a', 'cpc', 'x', 10.00::DECIMAL(18, 4), 'CNY', 100::BIGINT, 5::BIGINT, DATE '2026-01-02', 'f', 1),
        -- The same key again, later, in two ads and a copy: the latest file counts, each differing row once.
        ('2026-01-01', 'a', 'cpc', 'x', 6.00, 'CNY', 60, 3, '2026-01-03', 'f', 1),
        ('2026-01-01', 'a', 'cpc', 'x', 6.00, 'CNY', 60, 3, '2026-01-03', 'f', 2),
        ('2026-01-01', 'a', 'cpc', 'x', 4.00, 'CNY', 40, 2, '2026-01-03', 'f', 3),
        -- Of one day the older file loses, whatever its name.
        ('2026-01-01', 'a', 'cpc', 'x', 99.00, 'CNY', 900, 50, '2026-01-03', 'z', 1),
        ('2026-01-03', 'a', 'cpc', NULL, 20.00, 'CNY', NULL, 1, '2026-01-04', 'f', 1),
        ('2026-01-03', 'b', 'cpc', NULL, 3.00, 'USD', 7, NULL, '2026-01-04', 'f', 2),
        -- Not yet: the last complete day is the third.
        ('2026-01-04', 'b', 'cpc', NULL, 50.00, 'USD', 70, 7, '2026-01-04', 'f', 3)
"""
# The rate of the second holds on the third; that of the fourth does not.
RATES = """
    VALUES (DATE '2026-01-01', 'CNY', 0.1::DECIMAL(18, 6), DATE '2026-01-02', 'f', 1),
        ('2026-01-02', 'CNY', 0.2, '2026-01-02', 'f', 2),
        ('2026-01-02', 'CNY', 0.9, '2026-01-03', 'f', 1), ('2026-01-04', 'CNY', 0.5, '2026-01-04', 'f', 1)
"""
TIMES = {(date(2026, 1, 3), "f"): 2, (date(2026, 1, 3), "z"): 1}
PLACE = "arrived_date, landed_file, landed_row"


@pytest.fixture
def files(tmp_path) -> dict[str, list[str]]:
    columns = {
        "ad_spend": (COSTS, f"spend_date, utm_source, utm_medium, utm_campaign, cost, currency, impressions, clicks, {PLACE}"),
        "fx_rates": (RATES, f"rate_date, currency, usd_rate, {PLACE}"),
    }
    for source, (rows, names) in columns.items():
        duckdb.sql(f"COPY (FROM ({rows}) AS landed({names})) TO '{tmp_path}/{source}.parquet'")
    return {source: [f"{tmp_path}/{source}.parquet"] for source in columns}


@pytest.mark.parametrize(("currency", "spend"), [("USD", "8"), ("CNY", "45")])
def test_the_latest_state_of_a_key_counts_at_the_last_rate_of_its_day(files, currency, spend):
    # In dollars 10 × .1 + 20 × .2 + 3; in renminbi 10 + 20 + 3 / .2.
    told = advertised(duckdb.connect(), files, currency=currency, times=TIMES, through=date(2026, 1, 3))
    assert told == {"impressions": 107, "clicks": 6, "spend": Decimal(spend)}


def test_without_rates_what_was_spent_in_the_reporting_currency_counts(files):
    told = advertised(duckdb.connect(), {**files, "fx_rates": []}, currency="CNY", times=TIMES, through=date(2026, 1, 1))
    assert told == {"impressions": 100, "clicks": 5, "spend": Decimal(10)}


def test_without_advertising_nothing_was_spent(files):
    told = advertised(duckdb.connect(), {**files, "ad_spend": []}, currency="USD", times=TIMES, through=date(2026, 1, 3))
    assert told == {"impressions": 0, "clicks": 0, "spend": 0}
