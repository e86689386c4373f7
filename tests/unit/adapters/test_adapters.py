"""The adapters: what they make of small files of their shapes, and the published figures of the real ones."""

import gzip
import os
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orchestration.adapters import ADAPTERS
from orchestration.base.errors import UserError
from orchestration.landing.arrivals import landed
from orchestration.landing.ingest import ingest
from orchestration.landing.lake import Lake

DATA = Path(os.environ.get("NORTHSTAR_TEST_DATA", Path(__file__).parents[3] / ".." / "shared" / "data"))
CLICKS = "user_id,session_id,event,timestamp,platform,acquisition_channel,user_cohort,user_lifecycle"


def read(out: Path, source: str, columns: str = "*", *, tail: str = "ORDER BY ALL") -> list[tuple]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        return connection.execute(f"SELECT {columns} FROM read_parquet('{out}/{source}/*/*.parquet') {tail}").fetchall()


def contents(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def clicks(path: Path, *lines: str) -> Path:
    path.write_bytes(gzip.compress("\n".join([CLICKS, *lines, ""]).encode()))
    return path


def invoices(path: Path, *lines: tuple) -> Path:
    quantity, at, price, customer = zip(*lines, strict=True)
    columns = {"Description": [None] * len(lines), "Quantity": pa.array(quantity, pa.int32())}
    columns |= {"InvoiceDate": pa.array([at and datetime.fromisoformat(at) for at in at], pa.timestamp("ns"))}
    columns |= {"UnitPrice": pa.array(price, pa.float64()), "CustomerID": pa.array(customer, pa.float64())}
    pq.write_table(pa.table(columns), path)
    return path


def test_the_registry_knows_the_modules():
    assert set(ADAPTERS).issuperset({"ecom_events", "online_retail"})
    for name, adapter in ADAPTERS.items():
        assert ADAPTERS[name] is ADAPTERS[adapter.NAME]
        assert adapter.DESCRIPTION
        assert adapter.SETTINGS


@pytest.mark.parametrize("name", ["ecom_events", "online_retail"])
def test_missing_and_wrong_files_are_named(tmp_path, name):
    wrong = tmp_path / ("wrong.parquet" if name == "online_retail" else "wrong.csv")
    with pytest.raises(UserError, match=r"no file was given"):
        ADAPTERS[name].convert([], tmp_path / "out", timezone="UTC")
    with pytest.raises(UserError, match=r"wrong\.\w+ does not exist"):
        ADAPTERS[name].convert([wrong], tmp_path / "out", timezone="UTC")
    if name == "online_retail":
        pq.write_table(pa.table({"Quantity": [1]}), wrong)
    else:
        wrong.write_text("user_id,event\nu,e\n")
    with pytest.raises(UserError, match=r"wrong\.\w+: column .* is missing; its columns are"):
        ADAPTERS[name].convert([wrong], tmp_path / "out", timezone="UTC")
    with pytest.raises(UserError, match="unknown time zone"):
        ADAPTERS[name].convert([wrong], tmp_path / "out", timezone="Mars/Base")
    if name == "online_retail":
        wrong.write_bytes(b"nothing of the kind")
        with pytest.raises(UserError, match="unreadable") as caught:
            ADAPTERS[name].convert([wrong], tmp_path / "out", timezone="UTC")
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_clicks_become_events_on_their_day(tmp_path):
    file = clicks(
        tmp_path / "a.csv.gz",
        "u1,s1,home,2024-03-13 15:59:59,desktop,email,2024-01,returning",
        "u1,s1,home,2024-03-13 16:00:00,mobile,direct,2024-01,new",
        "u1,s1,home,2024-03-13 16:00:00,mobile,direct,2024-01,new",
        "u2,s2,cart,2024-03-13 16:00:00,mobile,paid_search,2024-01,new",
        "u3,s3,cart,2024-03-13 16:00:00,mobile,social,2024-01,new",
        "u4,s4,cart,2024-03-13 16:00:00,mobile,organic,2024-01,new",
    )
    out = tmp_path / "out"
    report = ADAPTERS["ecom_events"].convert([file], out, timezone="Asia/Shanghai")
    assert (report.rows_read, report.rows_written) == (6, {"events": 6})
    assert "lines that repeat user, session, event and time of another, kept as events of their own: 1" in report.notes
    assert landed(out) == {"events": [date(2024, 3, 13), date(2024, 3, 14)]}
    rows = read(out, "events", "event_id, event, user_id, occurred_at::VARCHAR, utm_medium, device_type, dt::VARCHAR")
    assert rows[0] == ("ecom-00000001", "home", "u1", "2024-03-13 15:59:59", "email", "desktop", "2024-03-13")
    assert [row[0] for row in rows] == [f"ecom-{n:08}" for n in range(1, 7)]
    assert [row[4] for row in rows[1:]] == [None, None, "paid_search", "social", "organic"]
    assert {row[6] for row in rows[1:]} == {"2024-03-14"}
    assert read(out, "events", "DISTINCT properties->>'user_cohort'") == [("2024-01",)]


@pytest.mark.parametrize(
    "line",
    ["u1,s1,home,yesterday,desktop,email,2024-01,new", "u1,s1,home,2024-03-13 15:59:59,desktop,pigeon,2024-01,new"],
)
def test_an_unreadable_click_is_named(tmp_path, line):
    file = clicks(tmp_path / "a.csv.gz", "u1,s1,home,2024-03-13 15:59:59,desktop,email,2024-01,new", line)
    with pytest.raises(UserError, match=r"^row 2: timestamp"):
        ADAPTERS["ecom_events"].convert([file], tmp_path / "out", timezone="UTC")
    assert not (tmp_path / "out").exists()


def test_invoice_lines_become_orders_and_payments(tmp_path):
    file = invoices(
        tmp_path / "a.parquet",
        (6, "2010-12-01 08:26:00", 2.55, 17850.0),
        (2, "2010-12-01 08:26:00", 0.1, 17850.0),
        (-1, "2010-12-01 08:26:00", 2.55, 17850.0),
        (-3, "2011-07-01 00:30:00", 0.001, 17850.0),
        (5, "2010-12-01 08:26:00", 0.0, 13047.0),
        (4, "2010-12-01 08:26:00", 1.0, None),
        (1, "2010-12-01 08:26:00", -11062.06, None),
    )
    out = tmp_path / "out"
    report = ADAPTERS["online_retail"].convert([file], out, timezone="Europe/London")
    columns = "order_id, user_id, ordered_at::VARCHAR, amount, refunded_amount, items, status, dt::VARCHAR"
    assert read(out, "orders", columns) == [
        ("retail-13047-20101201T082600", "13047", "2010-12-01 08:26:00", 0, 0, 5, "completed", "2010-12-01"),
        (
            "retail-17850-20101201T082600",
            "17850",
            "2010-12-01 08:26:00",
            Decimal("15.5"),
            Decimal("2.55"),
            8,
            "completed",
            "2010-12-01",
        ),
        # Summer time: half past midnight in London is half past eleven the day before, UTC.
        ("retail-17850-20110701T003000", "17850", "2011-06-30 23:30:00", 0, Decimal("0.003"), 0, "returned", "2011-07-01"),
    ]
    assert read(out, "payments", "payment_id, user_id, amount, status") == [
        ("retail-17850-20101201T082600-refunded", "17850", Decimal("2.55"), "refunded"),
        ("retail-17850-20101201T082600-succeeded", "17850", Decimal("15.5"), "succeeded"),
        ("retail-17850-20110701T003000-refunded", "17850", Decimal("0.003"), "refunded"),
        ("retail-none-20101201T082600-refunded", None, Decimal("11062.06"), "refunded"),
        ("retail-none-20101201T082600-succeeded", None, 4, "succeeded"),
    ]
    assert report.rows_written == {"orders": 3, "payments": 5}
    assert "lines with a positive quantity and a negative price, in payments alone as refunds: 1" in report.notes
    ADAPTERS["online_retail"].convert([file], out, timezone="UTC")
    assert landed(out)["orders"] == [date(2010, 12, 1), date(2011, 6, 30)]


def test_an_incomplete_invoice_line_is_named(tmp_path):
    file = invoices(tmp_path / "a.parquet", (1, "2010-12-01 08:26:00", 1.0, 1.0), (1, None, 1.0, 1.0))
    with pytest.raises(UserError, match="no readable InvoiceDate, Quantity or UnitPrice in 1 row, first row 2"):
        ADAPTERS["online_retail"].convert([file], tmp_path / "out", timezone="UTC")


def test_running_again_gives_the_same_bytes_and_drops_stale_days(tmp_path):
    both = ((1, "2010-12-01 08:26:00", 1.0, 1.0), (1, "2010-12-02 08:26:00", 1.0, 1.0))
    file, out = invoices(tmp_path / "a.parquet", *both), tmp_path / "out"
    convert = ADAPTERS["online_retail"].convert
    convert([file], out, timezone="UTC")
    first, times = contents(out), {path: path.stat().st_mtime_ns for path in out.rglob("*.parquet")}
    other = out / "orders" / "dt=2010-12-01" / "other.parquet"
    other.write_bytes(b"not this adapter's")
    convert([file], out, timezone="UTC")
    assert {path: path.stat().st_mtime_ns for path in times} == times
    invoices(file, both[1])
    convert([file], out, timezone="UTC")
    assert sorted(contents(out)) == [
        "orders/dt=2010-12-01/other.parquet",
        "orders/dt=2010-12-02/online_retail.parquet",
        "payments/dt=2010-12-02/online_retail.parquet",
    ]
    other.unlink()
    invoices(file, *both)
    convert([file], out, timezone="UTC")
    assert contents(out) == first


def test_several_files_are_read_in_their_order(tmp_path):
    line = "u1,s1,{},2024-03-13 15:59:59,desktop,email,2024-01,new"
    files = [clicks(tmp_path / f"{name}.csv.gz", line.format(name), line.format(name)) for name in ("b", "a")]
    ADAPTERS["ecom_events"].convert(files, tmp_path / "out", timezone="UTC")
    assert read(tmp_path / "out", "events", "event_id, event")[1:3] == [("ecom-00000002", "b"), ("ecom-00000003", "a")]


# --- the real files: figures that their publishers, or independent counts, state ------------------------------------------------


@pytest.mark.real_data
def test_the_real_online_retail_figures(tmp_path):
    out = tmp_path / "out"
    report = ADAPTERS["online_retail"].convert([DATA / "online_retail.parquet"], out, timezone="Europe/London")
    assert report.rows_read == 541_909
    for figure in (
        "lines read: 541,909",
        "customers, counted over all lines that name one: 4,372",
        "lines without a customer, in payments alone: 135,080",
        "lines with a negative quantity: 10,624",
        "sum of Quantity × UnitPrice over all lines, GBP: 9,747,747.93",
        "customers of the lines with a customer, Quantity > 0 and UnitPrice > 0: 4,338",
        "sum of Quantity × UnitPrice over those lines, GBP: 8,911,407.90",
    ):
        assert figure in report.notes
    # The published sums are rounded to the cent; four prices are a tenth of a penny.
    signed = "sum(CASE status WHEN 'succeeded' THEN amount ELSE -amount END)"
    assert read(out, "payments", f"{signed}, count(*) = count(DISTINCT payment_id)", tail="") == [(Decimal("9747747.934"), True)]
    orders = read(out, "orders", "count(DISTINCT user_id), sum(amount), count(*) = count(DISTINCT order_id)", tail="")
    assert orders == [(4_372, Decimal("8911407.904"), True)]
    lake = Lake(tmp_path / "home")
    for source, days in landed(out).items():
        partitions = ingest(out, lake, source, days, timezone="Europe/London", max_quarantine_ratio=0.0)
        assert sum(partition.accepted for partition in partitions) == report.rows_written[source]
    bought = "SELECT DISTINCT user_id, date_trunc('month', dt) AS month FROM orders WHERE status <> 'returned'"
    with duckdb.connect() as connection:
        cohort = connection.execute(f"""
            WITH orders AS (FROM read_parquet('{out}/orders/*/*.parquet')), bought AS ({bought}),
              first AS (SELECT user_id, min(month) AS cohort FROM bought GROUP BY user_id)
            SELECT date_diff('month', cohort, month) AS age, count(*) FROM bought INNER JOIN first USING (user_id)
            WHERE cohort = DATE '2010-12-01' GROUP BY age ORDER BY age LIMIT 6
        """).fetchall()
    assert [count for _, count in cohort] == [885, 324, 286, 340, 321, 352]


@pytest.mark.real_data
@pytest.mark.parametrize("timezone", ["Asia/Shanghai", "America/New_York"])
def test_the_real_clicks_enter_the_lake_whole(tmp_path, timezone):
    landing, lake = tmp_path / "landing", Lake(tmp_path / "home")
    report = ADAPTERS["ecom_events"].convert([DATA / "ecom_events.csv.gz"], landing, timezone=timezone)
    assert report.rows_read == report.rows_written["events"] == 31_106
    assert "users with at least one line: 600" in report.notes
    assert "sessions with at least one line: 3,605" in report.notes
    assert "different event names: 19" in report.notes
    days = landed(landing)["events"]
    partitions = ingest(landing, lake, "events", days, timezone=timezone, max_quarantine_ratio=0.0)
    assert sum(partition.accepted for partition in partitions) == 31_106
    assert all(partition.happened == {str(partition.arrived_date): partition.accepted} for partition in partitions)
