"""Ingest: what is accepted, what is refused and why, the same from every format, again and again."""

import csv
import gzip
import io
import json
from collections import Counter
from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestration.base.errors import UserError
from orchestration.base.pseudonyms import Key
from orchestration.landing.arrivals import landed, pending
from orchestration.landing.contract import CONTRACT, LAKE_COLUMNS
from orchestration.landing.erasure import Ledger
from orchestration.landing.ingest import IngestError, ingest
from orchestration.landing.judging import Judge
from orchestration.landing.lake import Lake
from orchestration.landing.vocabulary import SUBSCRIPTION_STATUSES
from tests.selection import drawn

DAY = date(2024, 3, 5)
EVENT = {"event_id": "e1", "event": "page_viewed", "occurred_at": "2024-03-05T01:02:03Z", "user_id": "u1"}
ORDER = {"order_id": "o1", "user_id": "u1", "ordered_at": "2024-03-05T01:02:03Z", "amount": "9.90", "currency": "USD"}
VALID = {
    "events": EVENT,
    "orders": ORDER,
    "subscriptions": {
        "subscription_id": "s1",
        "account_id": "a1",
        "changed_at": "2024-03-05",
        "plan": "free",
        "mrr": "0",
        "currency": "CNY",
        "status": "active",
    },
    "users": {"user_id": "u1", "signed_up_at": "2024-03-05"},
    "ad_spend": {"spend_date": "2024-03-05", "utm_source": "google", "cost": "1", "currency": "USD"},
    "fx_rates": {"rate_date": "2024-03-05", "currency": "CNY", "usd_rate": "0.13888888"},
}


def csv_text(rows: list[dict]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row))
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, names, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


class Zone:
    """A landing zone with a lake beside it."""

    def __init__(self, root: Path) -> None:
        self.landing, self.lake = root / "landing", Lake(root / "home")

    def put(self, name: str, content: str | bytes | list[dict], *, source: str = "events", day: date = DAY) -> Path:
        path = self.landing / source / f"dt={day}" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, list):
            if name.endswith(".parquet"):
                names = dict.fromkeys(name for row in content for name in row)
                pq.write_table(pa.table({name: [row.get(name) for row in content] for name in names}), path)
                return path
            content = csv_text(content) if "csv" in name else "".join(json.dumps(row) + "\n" for row in content)
        data = content.encode() if isinstance(content, str) else content
        path.write_bytes(gzip.compress(data, mtime=0) if name.endswith(".gz") else data)
        return path

    def ingest(self, source: str = "events", days=(DAY,), *, timezone: str = "Asia/Shanghai", ratio: float = 1.0):
        ledger = Ledger(self.lake.root, lambda: Key("the key of these tests"), denied=(), max_links=20)
        return ingest(self.landing, self.lake, source, list(days), timezone=timezone, max_quarantine_ratio=ratio, ledger=ledger)

    def rows(self, columns: str, source: str = "events") -> list[tuple]:
        return self._read(columns, self.lake.files(source))

    def refused(self, source: str = "events", columns: str = "landed_file, landed_row, reason") -> list[tuple]:
        return self._read(columns, self.lake.quarantine_files(source))

    @staticmethod
    def _read(columns: str, files: list[Path]) -> list[tuple]:
        if not files:
            return []
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            scan = f"read_parquet({[str(file) for file in files]}, hive_partitioning = false)"
            return connection.execute(f"SELECT {columns} FROM {scan} ORDER BY landed_file, landed_row").fetchall()


@pytest.fixture
def zone(tmp_path):
    return Zone(tmp_path)


# --- the landing zone ----------------------------------------------------------------------------------------------------------


def test_landed_lists_sources_and_days(zone):
    zone.put("b.csv", [EVENT], day=date(2024, 3, 6))
    zone.put("a.csv", [EVENT])
    zone.put("a.csv", [ORDER], source="orders")
    (zone.landing / "truth.json").write_text("{}")
    (zone.landing / ".hidden").mkdir()
    (zone.landing / "users" / "dt=2024-03-05").mkdir(parents=True)
    zone.put("_SUCCESS", "", day=date(2024, 3, 7))
    assert landed(zone.landing) == {"events": [DAY, date(2024, 3, 6)], "orders": [DAY]}


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("event/dt=2024-03-05/a.csv", "did you mean events"),
        ("zzz/dt=2024-03-05/a.csv", "known are events, users"),
        ("events/2024-03-05/a.csv", "called dt=YYYY-MM-DD"),
        ("events/dt=20240305/a.csv", "called dt=YYYY-MM-DD"),
        ("events/dt=2024-02-30/a.csv", "called dt=YYYY-MM-DD"),
        ("events/a.csv", "called dt=YYYY-MM-DD"),
        ("events/dt=2024-03-05/a.cvs", r"did you mean \.csv"),
        ("events/dt=2024-03-05/a.xlsx", "unreadable format"),
        ("events/dt=2024-03-05/a.csv/b", "unreadable format"),
        ("events.csv", "one folder per source"),
    ],
)
def test_what_the_contract_does_not_know_is_named(zone, path, message):
    target = zone.landing / path
    target.parent.mkdir(parents=True)
    target.write_text("")
    with pytest.raises(UserError, match=message):
        landed(zone.landing)


def test_a_missing_landing_zone_is_named(zone):
    with pytest.raises(UserError, match="does not exist"):
        landed(zone.landing)


def test_pending_follows_the_files(zone):
    path = zone.put("a.csv", [EVENT])
    assert pending(zone.landing, zone.lake) == {"events": [DAY]}
    zone.ingest()
    assert pending(zone.landing, zone.lake) == {}
    path.write_text(csv_text([EVENT | {"event_id": "e2"}]))
    assert pending(zone.landing, zone.lake) == {"events": [DAY]}
    zone.ingest()
    zone.put("b.csv", [EVENT])
    zone.put("a.csv", [EVENT], day=date(2024, 3, 6))
    assert pending(zone.landing, zone.lake) == {"events": [DAY, date(2024, 3, 6)]}


def test_unknown_source_time_zone_and_empty_day(zone):
    with pytest.raises(UserError, match="did you mean orders"):
        zone.ingest("order")
    with pytest.raises(UserError, match="unknown time zone 'Mars/Base'"):
        zone.ingest(timezone="Mars/Base")
    zone.put("a.csv", [EVENT])
    with pytest.raises(IngestError, match=r"dt=2024-03-06: no file has landed") as caught:
        zone.ingest(days=[DAY, date(2024, 3, 6)])
    assert [partition.arrived_date for partition in caught.value.entered] == [DAY]


# --- one fact, every format ----------------------------------------------------------------------------------------------------

FACTS = [
    {
        "event_id": "e1",
        "event": "page_viewed",
        "occurred_at": "2024-03-05T09:02:03.25+08:00",
        "user_id": "u1",
        "city_tier": "2",
        "value": "1.5",
        "properties": '{"a": [1, {"b": "ü"}]}',
        "theme": "dark",
    },
    {"event_id": "e2", "event": "line\nbreak", "occurred_at": "2024-03-04", "user_id": 'quo"te', "page": "/a,b"},
]
NAMES = ("event_id", "event", "occurred_at", "user_id", "page", "city_tier", "value", "properties", "theme")
WHOLE = [{name: fact.get(name) for name in NAMES} for fact in FACTS]


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.jsonl", "a.jsonl.gz", "a.parquet"])
def test_every_format_gives_the_same_rows(zone, name):
    zone.put(name, WHOLE)
    (partition,) = zone.ingest()
    assert (partition.accepted, partition.quarantined) == (2, 0)
    columns = "event_id, event, occurred_at::VARCHAR, user_id, page, city_tier, value, properties, landed_row, extra"
    assert zone.rows(columns) == [
        (
            "e1",
            "page_viewed",
            "2024-03-05 01:02:03.25",
            "u1",
            None,
            2,
            Decimal("1.5"),
            '{"a":[1,{"b":"ü"}]}',
            1,
            '{"theme":"dark"}',
        ),
        ("e2", "line\nbreak", "2024-03-04 00:00:00", 'quo"te', "/a,b", None, None, None, 2, None),
    ]
    assert partition.unknown_columns == ("theme",)
    assert "anonymous_id" in partition.missing_columns
    assert "page" not in partition.missing_columns


def test_typed_parquet_and_nested_json_give_the_same_rows_as_text(zone):
    typed = """
        SELECT 'e1' AS event_id, 'page_viewed' AS event, TIMESTAMPTZ '2024-03-05 09:02:03.25+08' AS occurred_at, 'u1' AS user_id,
          NULL::VARCHAR AS page, 2::UTINYINT AS city_tier, 1.5::DOUBLE AS "value",
          {'a': [1, 2]} AS properties, true AS flag
    """
    path = zone.landing / "events" / f"dt={DAY}" / "a.parquet"
    path.parent.mkdir(parents=True)
    with duckdb.connect() as connection:
        connection.execute(f"COPY ({typed}) TO '{path}' (FORMAT parquet)")
    nested = EVENT | {
        "occurred_at": "2024-03-05T01:02:03.250Z",
        "city_tier": 2,
        "value": 1.5,
        "properties": {"a": [1, 2]},
        "flag": True,
    }
    zone.put("b.jsonl", [nested])
    zone.put("c.csv", [nested | {"properties": '{"a": [1, 2]}', "flag": "true"}])
    zone.ingest()
    one, two, three = zone.rows("* EXCLUDE (landed_file)")
    assert one == two == three
    assert zone.rows("extra")[0] == ('{"flag":"true"}',)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_parquet_timestamps_of_every_unit(zone, unit):
    times = pa.array([1709600523 * {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]], pa.timestamp(unit))
    path = zone.put("a.parquet", [EVENT])
    pq.write_table(pq.read_table(path).set_column(2, "occurred_at", times), path)
    zone.ingest()
    assert zone.rows("occurred_at::VARCHAR") == [("2024-03-05 01:02:03",)]


def test_an_id_that_became_a_number_stays_itself(zone):
    zone.put("a.parquet", [EVENT | {"user_id": 17850.0}, EVENT | {"user_id": None, "anonymous_id": "x"}])
    zone.ingest()
    assert zone.rows("user_id") == [("17850",), (None,)]


def test_the_lake_has_the_contract_s_columns_and_types(zone):
    zone.put("a.csv", [EVENT])
    zone.ingest()
    (path,) = zone.lake.files("events")
    with duckdb.connect() as connection:
        described = connection.execute(f"DESCRIBE FROM read_parquet('{path}', hive_partitioning = false)").fetchall()
    expected = [(column.name, column.type.sql) for column in CONTRACT["events"].columns]
    assert [(row[0], row[1]) for row in described] == expected + [(name, kind) for name, kind, _ in LAKE_COLUMNS]


@pytest.mark.parametrize("source", CONTRACT)
def test_every_source_accepts_a_minimal_and_refuses_an_empty_row(zone, source):
    samples = {"id": "x", "text": "x", "timestamp": "2024-03-05", "date": "2024-03-05", "money": "1", "currency": "USD"}
    samples |= {"number": "1", "rate": "1", "integer": "1", "boolean": "true", "json": "{}"}
    needed = [c for c in CONTRACT[source].columns if c.required or c.name in CONTRACT[source].one_of]
    row = {column.name: column.allowed[0] if column.allowed else samples[column.type.value] for column in needed}
    zone.put("a.csv", [row, dict.fromkeys(row, " ")], source=source)
    (partition,) = zone.ingest(source)
    assert (partition.accepted, partition.quarantined) == (1, 1)
    assert all(f"{name}: missing" in partition.reasons for name in CONTRACT[source].required_columns)


# --- cells ---------------------------------------------------------------------------------------------------------------------

GOOD = [
    ("events", "occurred_at", "2024-03-05T01:02:03Z", "2024-03-05 01:02:03"),
    ("events", "occurred_at", "2024-03-05T01:02", "2024-03-05 01:02:00"),
    ("events", "occurred_at", "2024-03-05 01:02:03.123456789", "2024-03-05 01:02:03.123456"),
    ("events", "occurred_at", "2024-03-05T01:02:03-0530", "2024-03-05 06:32:03"),
    ("events", "occurred_at", "2024-03-05 01:02:03+08", "2024-03-04 17:02:03"),
    ("events", "occurred_at", "2024-03-05 01:02:03 +08", "2024-03-04 17:02:03"),
    ("events", "occurred_at", "2024-02-29", "2024-02-29 00:00:00"),
    ("events", "occurred_at", "1970-01-01T00:00:00Z", "1970-01-01 00:00:00"),
    ("events", "renews", "anything", None),
    ("subscriptions", "renews_at", "2199-12-31T23:59:59Z", "2199-12-31 23:59:59"),
    ("events", "event_id", " \t e9 ", "e9"),
    ("events", "event_id", "e9\n", "e9"),
    ("events", "event_id", "\r\ne 9\t", "e 9"),
    ("events", "city_tier", "3.0", "3"),
    ("events", "city_tier", "1", "1"),
    ("events", "city_tier", "5", "5"),
    ("events", "value", "-1e3", "-1000.000000"),
    ("events", "value", ".5", "0.500000"),
    ("events", "value", "", None),
    ("events", "properties", ' {"a" : 1} ', '{"a":1}'),
    ("orders", "amount", "1.23455", "1.2346"),
    ("orders", "amount", "1.23454", "1.2345"),
    ("orders", "amount", "0.00005", "0.0001"),
    ("orders", "amount", "0", "0.0000"),
    ("orders", "currency", "CNY", "CNY"),
    ("orders", "currency", "usd", "USD"),
    ("orders", "fulfilment", "pickup", "pickup"),
    ("subscriptions", "plan", "Gold 2", "Gold 2"),
    ("subscriptions", "status", "Cancelled", "canceled"),
    ("subscriptions", "status", "PAST-DUE", "past_due"),
    ("subscriptions", "status", "incomplete expired", "incomplete_expired"),
    ("subscriptions", "status", "expired", "ended"),
    ("subscriptions", "billing_interval", "P1M", "month"),
    ("subscriptions", "billing_interval", "Annual", "year"),
    ("subscriptions", "billing_interval", "Quarterly", "Quarterly"),
    ("users", "is_internal", "T", "true"),
    ("users", "is_internal", "1", "true"),
    ("users", "is_internal", "False", "false"),
    ("users", "is_internal", "0", "false"),
    ("ad_spend", "spend_date", "2024-03-06", "2024-03-06"),
    ("ad_spend", "spend_date", "2024-03-05 00:00:00", "2024-03-05"),
]


SOURCES_OF_CELLS = ("events", "orders", "subscriptions", "users", "ad_spend", "fx_rates")


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet"])
@pytest.mark.parametrize("source", SOURCES_OF_CELLS[:-1])
def test_good_cells(zone, name, source):
    cases = [case[1:] for case in GOOD if case[0] == source]
    zone.put(name, [VALID[source] | {column: text} for column, text, _ in cases], source=source)
    (partition,) = zone.ingest(source)
    assert partition.reasons == {}
    known = {column.name for column in CONTRACT[source].columns}
    found = dict(
        zip(
            ("landed_row", *sorted(known)),
            zip(
                *zone.rows(", ".join(["landed_row", *(f'"{column}"::VARCHAR' for column in sorted(known))]), source), strict=True
            ),
            strict=True,
        )
    )
    for row, (column, text, expected) in enumerate(cases):
        if column in known:
            assert (text, found[column][row]) == (text, expected)


BAD = [
    ("events", "event_id", "", "event_id: missing"),
    ("events", "event_id", "  ", "event_id: missing"),
    ("events", "user_id", "", "anonymous_id, user_id: both missing"),
    ("events", "occurred_at", "yesterday", "occurred_at: not a timestamp"),
    ("events", "occurred_at", "1709600523", "occurred_at: not a timestamp"),
    ("events", "occurred_at", "20240305", "occurred_at: not a timestamp"),
    ("events", "occurred_at", "2024-02-30", "occurred_at: not a timestamp"),
    ("events", "occurred_at", "2024-03-05T25:00:00", "occurred_at: not a timestamp"),
    ("events", "occurred_at", "05/03/2024", "occurred_at: not a timestamp"),
    ("events", "occurred_at", "infinity", "occurred_at: not a timestamp"),
    ("events", "occurred_at", "epoch", "occurred_at: not a timestamp"),
    ("events", "occurred_at", "2024-03-05 01:02:03 Asia/Shanghai", "occurred_at: not a timestamp"),
    ("events", "occurred_at", "1969-12-31T15:59:59Z", "occurred_at: before partition_start"),
    ("subscriptions", "renews_at", "2200-01-01", "renews_at: after 2199"),
    ("events", "occurred_at", "2024-03-07", "occurred_at: in the future of its arrival"),
    ("events", "city_tier", "0", "city_tier: below 1"),
    ("events", "city_tier", "6", "city_tier: above 5"),
    ("events", "city_tier", "1.5", "city_tier: not an integer"),
    ("events", "city_tier", "0x1", "city_tier: not an integer"),
    ("events", "city_tier", "1_0", "city_tier: not an integer"),
    ("events", "value", "NaN", "value: not a number"),
    ("events", "value", "Infinity", "value: not a number"),
    ("events", "value", "1,5", "value: not a number"),
    ("events", "value", "1_000", "value: not a number"),
    ("events", "properties", "[1]", "properties: not a JSON object"),
    ("events", "properties", "{", "properties: not a JSON object"),
    ("events", "properties", "1", "properties: not a JSON object"),
    ("orders", "amount", "-0.01", "amount: below 0"),
    ("orders", "amount", "free", "amount: not an amount"),
    ("orders", "amount", "1e30", "amount: not an amount"),
    ("orders", "currency", "US$", "currency: not a currency code"),
    ("orders", "fulfilment", "drone", "fulfilment: not one of online, pickup, store"),
    ("subscriptions", "status", "other", f"status: not one of {', '.join(SUBSCRIPTION_STATUSES)}"),
    ("users", "is_internal", "yes", "is_internal: not a boolean"),
    ("ad_spend", "spend_date", "2024-03-05 00:00:01", "spend_date: not a date"),
    ("ad_spend", "spend_date", "2024-03-07", "spend_date: in the future of its arrival"),
    ("fx_rates", "usd_rate", "-1", "usd_rate: not above 0"),
    ("fx_rates", "usd_rate", "0", "usd_rate: not above 0"),
    ("orders", "currency", "RMB", "currency: not in ISO 4217; did you mean CNY?"),
    ("fx_rates", "usd_rate", "one", "usd_rate: not a number"),
]


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet"])
@pytest.mark.parametrize("source", SOURCES_OF_CELLS)
def test_bad_cells(zone, name, source):
    cases = [case[1:] for case in BAD if case[0] == source]
    zone.put(name, [VALID[source], *(VALID[source] | {column: text} for column, text, _ in cases)], source=source)
    (partition,) = zone.ingest(source)
    refused = zone.refused(source, "landed_row, reason, row")
    assert [row[:2] for row in refused] == [(n, reason) for n, (_, _, reason) in enumerate(cases, start=2)]
    assert [json.loads(row[2])[case[0]] or "" for row, case in zip(refused, cases, strict=True)] == [case[1] for case in cases]
    assert partition.reasons == Counter(reason for _, _, reason in cases)
    assert zone.rows("landed_row", source) == [(1,)]


def test_every_reason_of_a_row_is_kept(zone):
    zone.put("a.csv", [EVENT | {"occurred_at": "x", "city_tier": "9"}])
    (partition,) = zone.ingest()
    assert zone.refused() == [("a.csv", 1, "occurred_at: not a timestamp; city_tier: above 5")]
    assert partition.reasons == {"city_tier: above 5": 1, "occurred_at: not a timestamp": 1}
    assert (partition.quarantined, partition.data_files) == (1, ())


def test_numbers_of_json_are_no_timestamps_and_not_a_number_of_parquet_is_bad(zone):
    zone.put("a.jsonl", [EVENT | {"occurred_at": 1709600523}])
    zone.put("b.parquet", [EVENT | {"value": float("nan")}, EVENT | {"value": 2.675}])
    (partition,) = zone.ingest()
    assert partition.reasons == {"occurred_at: not a timestamp": 1, "value: not a number": 1}
    assert zone.rows("value") == [(Decimal("2.675"),)]


# --- time zones ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("timezone", "last", "first_bad"),
    [
        ("Asia/Shanghai", "2024-03-06T15:59:59.999999Z", "2024-03-06T16:00:00Z"),
        ("UTC", "2024-03-06T23:59:59.999999Z", "2024-03-07T00:00:00Z"),
        ("America/New_York", "2024-03-07T04:59:59.999999Z", "2024-03-07T05:00:00Z"),
    ],
)
def test_the_future_begins_a_day_after_the_arrival_day(zone, timezone, last, first_bad):
    zone.put("a.csv", [EVENT | {"occurred_at": last}, EVENT | {"occurred_at": first_bad}])
    (partition,) = zone.ingest(timezone=timezone)
    assert zone.refused() == [("a.csv", 2, "occurred_at: in the future of its arrival")]
    assert partition.happened == {"2024-03-06": 1}


def test_event_days_are_cut_in_the_reporting_time_zone(zone):
    times = ["2024-03-04T15:59:59Z", "2024-03-04T16:00:00Z", "2024-03-05T15:59:59Z", "2024-02-29T16:00:00Z"]
    zone.put("a.csv", [EVENT | {"occurred_at": time} for time in times])
    assert zone.ingest()[0].happened == {"2024-03-01": 1, "2024-03-04": 1, "2024-03-05": 2}
    assert zone.ingest(timezone="UTC")[0].happened == {"2024-02-29": 1, "2024-03-04": 2, "2024-03-05": 1}


def test_the_day_of_a_change_of_clocks(zone):
    # New York went from -5 to -4 hours on 2024-03-10.
    times = ["2024-03-10T04:59:59Z", "2024-03-10T05:00:00Z", "2024-03-11T03:59:59Z", "2024-03-11T04:00:00Z"]
    zone.put("a.csv", [EVENT | {"occurred_at": time} for time in times], day=date(2024, 3, 11))
    (partition,) = zone.ingest(days=[date(2024, 3, 11)], timezone="America/New_York")
    assert partition.happened == {"2024-03-09": 1, "2024-03-10": 2, "2024-03-11": 1}


# --- files ---------------------------------------------------------------------------------------------------------------------

HEADER = "event_id,event,occurred_at,user_id\n"
LINE = "{},x,2024-03-05,u\n"


def test_malformed_csv_lines_are_refused_alone(zone):
    broken = 'e3,"x,2024-03-05,u\n'
    wide, narrow, inner = "e5,x,2024-03-05,u,v\n", "e6,x\n", 'e8,"x"y,2024-03-05,u\n'
    text = HEADER + LINE.format("e1") + broken + LINE.format("e4") + wide + narrow + "\n" + 'e7,"x\ny",2024-03-05,u\n' + inner
    zone.put("a.csv", text + LINE.format("e9"))
    zone.put("b.csv", HEADER + LINE.format("f1"))
    (partition,) = zone.ingest()
    assert zone.rows("event_id, landed_row") == [("e1", 1), ("e4", 3), ("e7", 6), ("e9", 8), ("f1", 1)]
    assert zone.refused(columns="landed_row, reason, row") == [
        (2, "malformed: broken quote", json.dumps(broken.strip())),
        (4, "malformed: 5 cells instead of 4", json.dumps(wide.strip())),
        (5, "malformed: 2 cells instead of 4", json.dumps(narrow.strip())),
        (7, "malformed: broken quote", json.dumps(inner.strip())),
    ]
    assert [(file.rows, file.quarantined) for file in partition.landed] == [(8, 4), (1, 0)]


@pytest.mark.parametrize(("suffix", "header", "bad"), [("csv", HEADER, "x\n"), ("jsonl", "", "x\n")])
def test_files_with_malformed_lines_are_read_together_and_apart_from_the_others(zone, monkeypatch, suffix, header, bad):
    """However many they are, two statements judge them all; each row keeps the number that it has in its file."""
    groups = []
    judge = Judge.judge

    def counting(self, scan, group, cells, raw):
        groups.append({file.path.name for file in group})
        judge(self, scan, group, cells, raw)

    monkeypatch.setattr(Judge, "judge", counting)
    for name in "abcd":
        lines = [
            LINE.format(f"{name}{n}") if suffix == "csv" else f"{json.dumps(EVENT | {'event_id': f'{name}{n}'})}\n" for n in "123"
        ]
        zone.put(f"{name}.{suffix}", header + (bad if name in "bd" else "").join(lines))
    zone.ingest()
    assert groups == [{f"{name}.{suffix}" for name in names} for names in ("ac", "bd")]
    places = {"ac": [1, 2, 3], "bd": [1, 3, 5]}
    assert zone.rows("event_id, landed_file, landed_row") == [
        (f"{name}{n}", f"{name}.{suffix}", row)
        for name in "abcd"
        for n, row in zip("123", next(rows for names, rows in places.items() if name in names), strict=True)
    ]
    assert [row[:2] for row in zone.refused()] == [(f"{name}.{suffix}", row) for name in "bd" for row in (2, 4)]


def test_an_unclosed_quote_at_the_end(zone):
    zone.put("a.csv", HEADER + LINE.format("e1") + 'e2,"x,2024-03-05,u')
    zone.ingest()
    assert zone.rows("event_id") == [("e1",)]
    assert zone.refused() == [("a.csv", 2, "malformed: broken quote")]


def test_malformed_json_lines_are_refused_alone(zone):
    good = json.dumps(EVENT)
    zone.put("a.jsonl", f'{good}\n\n{{"event_id":\n[1]\n"x"\n{good}{good}\n{{}}\n{good}')
    zone.put("b.jsonl", good)
    (partition,) = zone.ingest()
    assert zone.rows("landed_file, landed_row") == [("a.jsonl", 1), ("a.jsonl", 7), ("b.jsonl", 1)]
    refused = zone.refused(columns="landed_row, reason, row")
    assert [row[:2] for row in refused[:4]] == [(n, "malformed: not a JSON object") for n in (2, 3, 4, 5)]
    assert refused[0][2] == json.dumps('{"event_id":')
    assert refused[4][0] == 6
    assert partition.reasons["event_id: missing"] == 1


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.jsonl"])
def test_a_line_that_is_not_utf8_is_refused_alone(zone, name):
    rows = [EVENT, EVENT | {"event": "M"}, EVENT | {"event": "ü"}]
    zone.put("good" + name, rows)
    text = csv_text(rows) if "csv" in name else "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    zone.put(name, text.encode().replace(b"M", b"\xff"))
    zone.ingest()
    assert zone.refused() == [(name, 2, "malformed: not UTF-8")]
    assert "\\\\xff" in zone.refused(columns="row")[0][0]
    assert zone.rows("event", "events")[:2] == [("page_viewed",), ("ü",)]


def test_byte_order_mark_line_ends_and_header_spelling(zone):
    zone.put("a.csv", "\ufeff Event_ID ,EVENT,occurred_at,User_Id\r\ne1,x,2024-03-05,u\r\n\r\ne2,x,2024-03-05,u")
    zone.put("b.jsonl", "\ufeff" + json.dumps({"Event_Id": "e3", "event": "x", "occurred_at": "2024-03-05", "USER_ID ": "u"}))
    (partition,) = zone.ingest()
    assert zone.rows("event_id, user_id") == [("e1", "u"), ("e2", "u"), ("e3", "u")]
    assert (partition.quarantined, partition.unknown_columns) == (0, ())


def test_any_file_name(zone):
    names = ["[a]*?.csv", "it's.csv", "ü b.jsonl", "%2e.csv.gz", "dt=1.parquet"]
    for name in names:
        zone.put(name, [EVENT])
    zone.ingest()
    assert sorted(zone.rows("landed_file")) == sorted((name,) for name in names)


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.parquet"])
def test_a_header_without_rows_is_fine(zone, name):
    if name == "a.parquet":
        pq.write_table(pa.table({key: pa.array([], pa.string()) for key in EVENT}), zone.put(name, b""))
    else:
        zone.put(name, HEADER)
    (partition,) = zone.ingest()
    assert (partition.rows, partition.data_files, partition.landed[0].rows) == (0, (), 0)
    assert pending(zone.landing, zone.lake) == {}


def test_an_empty_file_of_json_lines_is_fine(zone):
    zone.put("a.jsonl", "")
    assert zone.ingest()[0].rows == 0


def test_json_objects_without_a_key_are_refused_rows(zone):
    zone.put("a.jsonl", "{}\n{}\n")
    zone.ingest()
    assert zone.refused(columns="landed_row, row") == [(1, "{}"), (2, "{}")]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "event_id,event,user_id\ne,x,u\n", r"a\.csv: required column occurred_at is missing; its columns are event_id"),
        ("a.jsonl", '{"event_id":"e","user_id":"u"}', r"a\.jsonl: required column event, occurred_at is missing"),
        ("a.csv", "event_id,event,occurred_at\ne,x,2024-03-05\n", "one of the columns anonymous_id, user_id is required"),
        ("a.csv", "event_id,event,occurred_at,user_id,Event\n", "column event is there twice"),
        ("a.csv", ",,\n", "it has no header"),
        ("a.csv", b"\xff\xfee\x00,\x00", "its header is not UTF-8"),
        ("a.parquet", b"PAR1 or not", r"a\.parquet: unreadable"),
        ("a.jsonl", "\n".join(['{"event_id": 1'] * 3), r"3 of 3 rows are bad, more than 50\.00%: malformed: not a JSON object"),
    ],
)
def test_a_file_that_is_no_such_source_fails_its_partition_alone(zone, name, content, message):
    zone.put("a.csv", [EVENT], day=date(2024, 3, 4))
    zone.put(name, content)
    zone.put("z.csv", [EVENT])
    with pytest.raises(IngestError, match=message) as caught:
        zone.ingest(days=[DAY, date(2024, 3, 4)], ratio=0.5)
    assert list(zone.lake.partitions("events")) == [date(2024, 3, 4)]
    assert list(caught.value.failed) == [DAY]
    assert "events: 1 partition was refused" in str(caught.value)


@pytest.mark.parametrize("name", ["a.csv.gz", "a.jsonl.gz", "a.parquet"])
def test_a_truncated_file_fails_its_partition_alone(zone, name):
    path = zone.put(name, [EVENT | {"event_id": f"e{i * 7919}"} for i in range(2000)])
    path.write_bytes(path.read_bytes()[:-40])
    zone.put(name, [EVENT], day=date(2024, 3, 4))
    with pytest.raises(IngestError, match="unreadable"):
        zone.ingest(days=[DAY, date(2024, 3, 4)])
    assert list(zone.lake.partitions("events")) == [date(2024, 3, 4)]


def test_a_parquet_file_damaged_behind_its_header_fails_alone(zone):
    path = zone.put("a.parquet", [EVENT | {"event_id": f"e{i * 7919}"} for i in range(5000)])
    data = bytearray(path.read_bytes())
    data[4:2000] = bytes(1996)
    path.write_bytes(bytes(data))
    zone.put("a.parquet", [EVENT], day=date(2024, 3, 4))
    with pytest.raises(IngestError, match=r"a\.parquet: unreadable"):
        zone.ingest(days=[DAY, date(2024, 3, 4)])
    assert list(zone.lake.partitions("events")) == [date(2024, 3, 4)]


# --- partitions ----------------------------------------------------------------------------------------------------------------


def test_the_ratio_counts_per_file_and_its_limit_is_allowed(zone):
    good = [EVENT] * 99
    zone.put("a.csv", [*good, EVENT | {"occurred_at": "x"}])
    zone.put("b.csv", [EVENT] * 500)
    (partition,) = zone.ingest(ratio=0.01)
    assert (partition.accepted, partition.quarantined) == (599, 1)
    zone.put("a.csv", [*good[1:], EVENT | {"occurred_at": "x"}])
    with pytest.raises(
        IngestError, match=r"a\.csv: 1 of 99 rows are bad, more than 1\.00%: .*not a timestamp \(1, first in row 99: 'x'\)"
    ):
        zone.ingest(ratio=0.01)
    assert zone.lake.partition("events", DAY) == partition


def test_ingesting_again_changes_no_byte(zone):
    for day in (DAY, date(2024, 3, 4)):
        zone.put("a.csv", [EVENT, EVENT | {"value": "x"}], day=day)
        zone.put("b.jsonl", [EVENT], day=day)
    first = zone.ingest(days=[DAY, date(2024, 3, 4)])
    before = {path: path.stat().st_mtime_ns for path in zone.lake.root.rglob("*.parquet")}
    path = zone.put("a.csv", [EVENT, EVENT | {"value": "x"}])
    again = zone.ingest(days=[DAY]) + zone.ingest(days=[date(2024, 3, 4)])
    assert {partition.digest for partition in again} == {partition.digest for partition in first}
    assert {path: path.stat().st_mtime_ns for path in zone.lake.root.rglob("*.parquet")} == before
    assert zone.lake.partition("events", DAY).landed[0].mtime_ns == path.stat().st_mtime_ns
    assert pending(zone.landing, zone.lake) == {}


def test_a_corrected_file_replaces_the_partition(zone):
    zone.put("a.csv", [EVENT, EVENT | {"value": "x"}])
    (old,) = zone.ingest()
    zone.put("a.csv", [EVENT | {"event_id": "other"}])
    (new,) = zone.ingest()
    assert new.digest != old.digest
    assert zone.rows("event_id") == [("other",)]
    assert zone.refused() == []
    assert len(list(zone.lake.root.rglob("*.parquet"))) == 1


def test_rows_lie_in_the_order_of_their_time_then_file_then_row(zone):
    zone.put("b.csv", [EVENT | {"event_id": "b1"}, EVENT | {"event_id": "b2", "occurred_at": "2024-03-01"}])
    zone.put("a.csv", [EVENT | {"event_id": "a1"}, EVENT | {"event_id": "a2"}])
    zone.ingest()
    (path,) = zone.lake.files("events")
    assert pq.read_table(path, columns=["event_id"], partitioning=None)["event_id"].to_pylist() == ["b2", "a1", "a2", "b1"]
    assert zone.rows("DISTINCT arrived_date, landed_file, landed_row")[0] == (DAY, "a.csv", 1)


def test_duplicates_stay(zone):
    zone.put("a.csv", [EVENT, EVENT])
    assert zone.ingest()[0].accepted == 2


def test_many_files_of_several_shapes_in_one_call(zone):
    days = [date(2024, 1, 1 + i) for i in range(31)]
    for i, day in enumerate(days):
        rows = [EVENT | {"event_id": f"{i}-{j}", "occurred_at": day.isoformat()} for j in range(i + 1)]
        zone.put("a.csv", rows, day=day)
        zone.put("b.jsonl.gz", [row | {"value": j} for j, row in enumerate(rows)], day=day)
        zone.put("c.csv", csv_text([row | {"page": 'a"b\n', "x": "1"} for row in rows]), day=day)
    partitions = zone.ingest(days=days)
    assert [partition.accepted for partition in partitions] == [3 * (i + 1) for i in range(31)]
    assert [partition.happened for partition in partitions] == [{str(day): 3 * (i + 1)} for i, day in enumerate(days)]
    expected = [(n,) for i in range(31) for n in range(1, i + 2)]
    assert sorted(zone.rows("landed_row")) == sorted(expected * 3)
    with duckdb.connect() as connection:
        wrong = connection.execute(
            f"SELECT count(*) FROM read_parquet({list(map(str, zone.lake.files('events')))}) "
            "WHERE split_part(event_id, '-', 2)::INT + 1 <> landed_row OR occurred_at::DATE <> arrived_date"
        ).fetchone()
    assert wrong == (0,)


CELLS = st.one_of(
    st.sampled_from(["", " ", "2024-03-05", "1", "-1", "x", '{"a":1}', "NaN", "USD", "true", "null"]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
)
LINES = st.one_of(
    st.builds(
        lambda cells: ",".join(cells), st.lists(st.sampled_from(["e", "x", "2024-03-05", "u", "", '"a"', '"b']), max_size=6)
    ),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=12),
    st.builds(lambda row: json.dumps(row), st.dictionaries(st.sampled_from([*EVENT, "value", "foo"]), CELLS, max_size=5)),
)


@settings(max_examples=drawn(8), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.lists(CELLS, min_size=7, max_size=7), max_size=6), lines=st.lists(LINES, max_size=6))
def test_nothing_is_lost_of_random_dirty_files(tmp_path_factory, rows, lines):
    zone = Zone(tmp_path_factory.mktemp("dirty"))
    names = [*EVENT, "value", "properties", "foo"]
    table = [dict(zip(names, row, strict=True)) for row in rows] or [EVENT]
    for name in ("table.csv", "table.jsonl", "table.parquet"):
        zone.put(name, table)
    zone.put("lines.csv", HEADER + "\n".join(lines))
    zone.put("lines.jsonl", "\n".join([json.dumps(EVENT), *lines]))
    (partition,) = zone.ingest()
    by_name = {file.name: file for file in partition.landed}
    accepted = zone.rows("landed_file, landed_row")
    refused = zone.refused(columns="landed_file, landed_row")
    assert partition.rows == partition.accepted + partition.quarantined == len(accepted) + len(refused)
    for name, file in by_name.items():
        numbers = sorted(n for where, n in accepted + refused if where == name)
        assert numbers == list(range(1, file.rows + 1))
    assert {file.rows for name, file in by_name.items() if name.startswith("table")} == {len(table)}
    assert len({file.accepted for name, file in by_name.items() if name.startswith("table")}) == 1
    assert zone.ingest()[0].digest == partition.digest
