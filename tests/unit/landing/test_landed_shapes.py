"""What files may look like: any name, packing, dialect and neighbour gives a row the same verdict, and nothing is lost."""

import gzip
import json
import logging
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestration.base.errors import UserError
from orchestration.landing.arrivals import landed, pending
from orchestration.landing.ingest import IngestError, ingest
from orchestration.landing.judging import out_of_scope
from orchestration.landing.readers import Readers
from tests.selection import drawn
from tests.unit.landing.test_ingest import DAY, EVENT, ORDER, Zone, csv_text

HEADER = "event_id,event,occurred_at,user_id,page\n"
START = f"{DAY}T01:00:00Z,u"


@pytest.fixture
def zone(tmp_path):
    return Zone(tmp_path)


def line(number: int, page: str) -> str:
    return f"e{number},page_viewed,{START},{page}\n"


# --- names ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["part[1].jsonl", "part*.csv", "p?rt1.parquet", "{a,b}.csv.gz", "a'b\";--.jsonl", "[[!a].csv"])
def test_a_file_name_is_no_pattern(tmp_path, name):
    zone = Zone(tmp_path / "ns[1]*?")
    zone.put(name, [EVENT | {"event_id": "odd"}])
    zone.put("part1.jsonl", [EVENT | {"event_id": "plain"}])
    zone.put("part1.parquet", [EVENT | {"event_id": "plain too"}])
    (partition,) = zone.ingest()
    assert {file.name: file.rows for file in partition.landed} == {name: 1, "part1.jsonl": 1, "part1.parquet": 1}
    with duckdb.connect() as connection:
        zone.lake.load(connection, _events(), [partition])
        rows = connection.execute("SELECT event_id FROM judged ORDER BY 1").fetchall()
    assert rows == [("odd",), ("plain",), ("plain too",)]


def _events():
    from orchestration.landing.contract import CONTRACT

    return CONTRACT["events"]


def test_a_file_name_with_a_backslash_is_refused(zone):
    zone.put("a\\[1].csv", [EVENT])
    with pytest.raises(IngestError, match="its name holds a backslash; rename it"):
        zone.ingest()


def test_stray_files_are_ignored_with_a_note(zone, caplog):
    zone.put("a.csv", [EVENT])
    for name in ("Thumbs.db", "README.md", "a.csv.tmp", ".a.csv.crc", "_SUCCESS", "desktop.ini"):
        zone.put(name, b"\0\1")
    with caplog.at_level(logging.INFO, logger="northstar.night"):
        (partition,) = zone.ingest()
    assert [file.name for file in partition.landed] == ["a.csv"]
    noted = [record.getMessage().split("/")[-1].split(" ")[0] for record in caplog.records]
    assert sorted(noted) == ["README.md", "Thumbs.db", "a.csv.tmp", "desktop.ini"]
    zone.put("a.xls", b"")
    with pytest.raises(UserError, match="unreadable format"):
        landed(zone.landing)


def _zst(data: bytes, path: Path) -> None:
    with pa.CompressedOutputStream(str(path), "zstd") as out:
        out.write(data)


@pytest.mark.parametrize(
    "name", ["a.CSV", "a.tsv", "a.csv.zst", "a.CSV.GZ", "a.ndjson", "a.jsonl.zst", "a.NDJSON.gz", "a.tsv.gz", "a.PARQUET"]
)
def test_every_format_gives_the_same_rows(zone, name):
    rows = [EVENT | {"event_id": "e1", "page": "/a,b"}, EVENT | {"event_id": "e2", "page": '/"q"'}]
    path, plain = zone.put("plain", b""), name.lower()
    if "parquet" in plain:
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        text = csv_text(rows) if "csv" in plain else "".join(json.dumps(row) + "\n" for row in rows)
        if "tsv" in plain:
            cells = [list(rows[0]), *([str(row[name]).replace('"', '""') for name in rows[0]] for row in rows)]
            text = "".join("\t".join(f'"{cell}"' for cell in row) + "\n" for row in cells)
        data = text.encode()
        if plain.endswith(".zst"):
            _zst(data, path)
        else:
            path.write_bytes(gzip.compress(data) if plain.endswith(".gz") else data)
    path.rename(path.with_name(name))
    zone.ingest()
    assert zone.rows("event_id, page") == [("e1", "/a,b"), ("e2", '/"q"')]


@pytest.mark.parametrize("name", ["b.csv", "b.jsonl", "b.csv.gz", "b.parquet", "b.jsonl.zst"])
def test_an_empty_part_is_no_fault(zone, name):
    zone.put("a.csv", [EVENT])
    zone.put(name, b"").write_bytes(b"")
    (partition,) = zone.ingest()
    assert {file.name: file.rows for file in partition.landed} == {"a.csv": 1, name: 0}


def test_a_broken_link_is_named(zone):
    zone.put("a.csv", [EVENT])
    (zone.landing / "events" / f"dt={DAY}" / "b.csv").symlink_to("/nowhere")
    assert pending(zone.landing, zone.lake) == {"events": [DAY]}
    with pytest.raises(IngestError, match=r"b\.csv: unreadable: No such file"):
        zone.ingest()


# --- packing -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("packing", ["gz", "zst"])
@pytest.mark.parametrize("fault", ["a bit", "the end", "nothing"])
def test_checksums_of_packed_files_are_verified(zone, packing, fault):
    data = (HEADER + "".join(line(n, f"/{n}") for n in range(200))).encode()
    path = zone.put(f"a.csv.{packing}", b"")
    if packing == "gz":
        path.write_bytes(gzip.compress(data, 0) + gzip.compress(line(999, "/x").encode(), 0))
    else:
        _zst(data, path)
    packed = bytearray(path.read_bytes())
    if fault == "a bit":
        at = packed.index(b",page_viewed") if packing == "gz" else len(packed) // 2
        packed[at + 1] ^= 1
    path.write_bytes(packed[:-3] if fault == "the end" else packed)
    if fault == "nothing":
        (partition,) = zone.ingest()
        assert partition.accepted == (201 if packing == "gz" else 200)
    elif packing == "gz" or fault == "the end":
        with pytest.raises(IngestError, match="unreadable"):
            zone.ingest()


# --- one dialect ---------------------------------------------------------------------------------------------------------------

ODD = {
    "a trailing comma": line(1, "/p,"),
    "two trailing commas": line(1, "/p,,"),
    "a space before a quote": line(1, ' "/a,b"'),
    "a space behind a quote": line(1, '"/a,b" '),
    "a quote within": line(1, 'a"b'),
    "a doubled quote": line(1, '"a""b"'),
    "a long cell": line(1, "/" + "x" * 140_000),
    "a cell of a megabyte and a half": line(1, "/" + "x" * 1_500_000),
    "a cell of many lines": line(1, '"' + "l\n" * 300 + '"'),
    "a blank line": "\n" + line(1, "/p"),
}


@pytest.mark.parametrize("shape", ODD)
def test_a_row_is_judged_alone(zone, shape):
    text = HEADER + ODD[shape] + line(2, "/q")
    for name, more in (("alone.csv", ""), ("beside.csv", "bad,line\n")):
        zone.put(name, text + more)
    (partition,) = zone.ingest()
    assert partition.accepted == 4
    rows = zone.rows("landed_file, landed_row, event_id, page")
    assert [row[1:] for row in rows if row[0] == "alone.csv"] == [row[1:] for row in rows if row[0] == "beside.csv"]
    assert [row[:2] for row in zone.refused()] == [("beside.csv", 3)]


@pytest.mark.parametrize("page", ['"a"b', '"never closed'])
def test_a_broken_quote_is_refused_wherever_it_stands(zone, page):
    zone.put("alone.csv", HEADER + line(1, page))
    zone.put("beside.csv", HEADER + line(1, page) + "bad,line\n" + line(2, "/q"))
    zone.ingest()
    assert [row[0:2] for row in zone.refused()] == [("alone.csv", 1), ("beside.csv", 1), ("beside.csv", 2)]
    assert zone.rows("landed_file, landed_row, page") == [("beside.csv", 3, "/q")]


CELLS = st.text(alphabet='ab ",\n', max_size=8) | st.text(alphabet="ab ,", max_size=5).map(lambda text: f'"{text}"')


@settings(max_examples=drawn(12), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(CELLS, min_size=1, max_size=5))
def test_both_readers_say_the_same_of_a_row(tmp_path_factory, pages):
    zone = Zone(tmp_path_factory.mktemp("dialect"))
    text = HEADER + "".join(line(number, page) for number, page in enumerate(pages)) + line(99, "/end")
    zone.put("alone.csv", text)
    zone.put("beside.csv", text + "bad,line\n")
    zone.ingest()
    rows = zone.rows("landed_file, event_id, page")
    assert [row[1:] for row in rows if row[0] == "alone.csv"] == [row[1:] for row in rows if row[0] == "beside.csv"]


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv"])
def test_a_row_of_megabytes_is_not_lost(zone, name):
    page = "x" * 33_000_000
    zone.put(name, HEADER + line(1, page) if name == "a.csv" else json.dumps(EVENT | {"event_id": "e1", "page": page}) + "\n")
    (partition,) = zone.ingest()
    assert (partition.accepted, partition.quarantined) == (1, 0)
    assert zone.rows("length(page)") == [(len(page),)]


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_a_file_of_thousands_of_columns_is_refused_in_words(zone, name):
    zone.put(name, [EVENT | {f"c{number}": "" for number in range(1_001)}])
    with pytest.raises(IngestError, match=r"it has 1,005 columns, more than 1,000: is it transposed\?"):
        zone.ingest()


def test_what_takes_more_than_the_memory_limit_ends_in_words(zone):
    zone.put("a.csv", [EVENT | {f"c{number}": "" for number in range(900)}])
    with pytest.raises(IngestError, match=r"a\.csv: .*memory_limit"):
        ingest(zone.landing, zone.lake, "events", [DAY], timezone="UTC", max_quarantine_ratio=1, memory_limit="20MB")


def test_rows_are_counted_once_when_memory_runs_out_between_sound_and_malformed_files(zone, monkeypatch):
    zone.put("malformed.csv", HEADER + line(1, "a") + "bad,line\n")
    zone.put("sound.csv", HEADER + line(2, "b"))
    read, groups = Readers._read_tolerantly, []

    def read_one(self, files, *arguments):
        groups.append([file.path.name for file in files])
        if len(groups) == 1:
            raise duckdb.OutOfMemoryException
        read(self, files, *arguments)

    monkeypatch.setattr(Readers, "_read_tolerantly", read_one)
    (partition,) = zone.ingest()
    assert groups == [["malformed.csv"], ["malformed.csv"]]
    assert {file.name: (file.accepted, file.quarantined) for file in partition.landed} == {
        "malformed.csv": (1, 1),
        "sound.csv": (1, 0),
    }
    assert (partition.accepted, partition.quarantined) == (2, 1)


# --- cells ---------------------------------------------------------------------------------------------------------------------


def test_a_number_is_one_id_in_every_format(zone):
    day, ids = [EVENT["occurred_at"]], {"event": ["x"]}
    for name, values in {
        "double": pa.array([17850.0]),
        "decimal": pa.array([Decimal("17850")], pa.decimal128(38, 10)),
        "whole": pa.array([17850]),
        "text": pa.array(["17850"]),
    }.items():
        path = zone.put(f"{name}.parquet", [EVENT])
        pq.write_table(pa.table({"event_id": [name], **ids, "occurred_at": day, "user_id": values}), path)
    for name, number in {"json": "17850.0", "exponent": "1.785e4", "integer": "17850"}.items():
        zone.put(f"{name}.jsonl", f'{{"event_id":"{name}","event":"x","occurred_at":"{day[0]}","User_Id":{number}}}\n')
    zone.put("a.csv", [EVENT | {"event_id": "csv", "user_id": "17850"}])
    zone.ingest()
    assert {user for _, user in zone.rows("event_id, user_id")} == {"17850"}


def test_an_id_that_is_text_stays_as_it_is_spelled(zone):
    zone.put("a.jsonl", [EVENT | {"user_id": "1.0"}, EVENT | {"user_id": 12345678901234567}, EVENT | {"user_id": 1.5}])
    zone.put("b.csv", [EVENT | {"user_id": "1.0"}])
    zone.ingest()
    assert [user for (user,) in zone.rows("user_id")] == ["1.0", "12345678901234567", "1.5", "1.0"]


@pytest.mark.parametrize("blank", ["\u3000", "\u00a0", "\u200b", "\ufeff", " \u3000\t"])
def test_white_space_of_unicode_is_trimmed(zone, blank):
    zone.put("a.jsonl", [EVENT | {"user_id": f"{blank}王五{blank}"}, EVENT | {"user_id": blank, "anonymous_id": f"{blank}a"}])
    zone.ingest()
    assert zone.rows("user_id, anonymous_id") == [("王五", None), (None, "a")]


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet"])
def test_nul_characters_are_dropped(zone, name):
    zone.put(name, [EVENT | {"page": "/a\0b", "theme": "d\0rk"}])
    (partition,) = zone.ingest()
    assert zone.rows("page, extra::VARCHAR") == [("/ab", '{"theme":"drk"}')]
    assert partition.quarantined == 0


def test_nul_characters_in_keys_and_escaped_backslashes(zone):
    zone.put(
        "a.jsonl",
        '{"event_id":"e1","event":"x","occurred_at":"2024-03-05","user_id":"u","pa\\u0000ge":"/a","theme":"\\\\u0000"}\n',
    )
    zone.ingest()
    assert zone.rows("page, extra::VARCHAR") == [("/a", '{"theme":"\\\\u0000"}')]


def test_a_key_in_two_spellings_is_one_column(zone):
    zone.put("a.jsonl", [{**EVENT, "Page": None, "page": "/a"}, {**EVENT, "PAGE": "/b"}])
    zone.ingest()
    assert zone.rows("page") == [("/a",), ("/b",)]


def test_columns_with_names_that_duckdb_gives_its_own(zone):
    table = pa.Table.from_pylist([EVENT | {"filename": "f", "file_row_number": 7, "": "nameless"}])
    pq.write_table(table, zone.put("a.parquet", [EVENT]))
    (partition,) = zone.ingest()
    assert partition.unknown_columns == ("column_7", "file_row_number", "filename")
    assert zone.rows("event_id, extra::VARCHAR") == [("e1", '{"column_7":"nameless","file_row_number":"7","filename":"f"}')]


@pytest.mark.parametrize(
    "text",
    ["2024-03-05 10:00:00 UTC", "2024-03-05 10:00:00.000000 UTC", "2024-03-05 10:00:00.000 +0000", "2024-03-05 02:00:00 -0800"],
)
def test_timestamps_of_warehouses(zone, text):
    zone.put("a.csv", [EVENT | {"occurred_at": text}])
    zone.ingest()
    assert zone.rows("occurred_at") == [(datetime(2024, 3, 5, 10),)]  # noqa: DTZ001 (the lake's are UTC without saying so)


# --- times ---------------------------------------------------------------------------------------------------------------------


def test_every_time_that_decides_is_bounded(zone):
    rows = [
        EVENT,
        EVENT | {"occurred_at": "2009-12-31T15:59:59Z"},
        EVENT | {"occurred_at": "2009-12-31T16:00:00Z"},
        EVENT | {"received_at": "1970-01-01T00:00:10Z"},
        EVENT | {"received_at": "2099-01-01"},
    ]
    zone.put("a.jsonl", rows)
    zone.put("a.jsonl", [{"user_id": "u", "signed_up_at": "2024-01-01", "updated_at": "2099-01-01"}], source="users")
    for source in ("events", "users"):
        ingest(
            zone.landing,
            zone.lake,
            source,
            [DAY],
            timezone="Asia/Shanghai",
            max_quarantine_ratio=1,
            partition_start=date(2010, 1, 1),
        )
    assert zone.rows("landed_row") == [(1,), (3,)]
    assert zone.refused(columns="landed_row, reason") == [
        (2, "occurred_at: before partition_start"),
        (4, "received_at: before partition_start"),
        (5, "received_at: in the future of its arrival"),
    ]
    assert zone.refused("users", "reason") == [("updated_at: in the future of its arrival",)]


def test_an_arrival_day_in_the_future_is_refused_by_name(zone):
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    zone.put("a.csv", [EVENT])
    zone.put("a.csv", [EVENT], day=date(2099, 1, 1))
    zone.put("a.csv", [EVENT], day=tomorrow)
    with pytest.raises(IngestError, match=r"dt=2099-01-01 names a day in the future .*rename it"):
        zone.ingest(days=[DAY, date(2099, 1, 1), tomorrow], timezone="UTC")
    assert list(zone.lake.partitions("events")) == [DAY, tomorrow]


# --- what is said --------------------------------------------------------------------------------------------------------------


def test_a_refusal_shows_values_but_none_of_a_person(zone):
    zone.put("a.csv", [ORDER | {"amount": "9,90 €" + "x" * 60, "ordered_at": "4:30:21", "user_id": ""}] * 3, source="orders")
    with pytest.raises(IngestError) as caught:
        zone.ingest("orders", ratio=0.5)
    said = str(caught.value)
    assert "ordered_at: not a timestamp (3, first in row 1: '4:30:21')" in said
    assert f"amount: not an amount (3, first in row 1: '9,90 €{'x' * 34}…')" in said
    zone.put("a.csv", [EVENT | {"city_tier": "77", "country": "x"}])
    with pytest.raises(IngestError, match=r"city_tier: above 5 \(1, first in row 1\)$"):
        zone.ingest(ratio=0)


def test_what_lies_before_the_first_day_does_not_count_as_bad(zone):
    old = EVENT | {"occurred_at": "1970-01-01T00:00:10Z"}
    zone.put("a.jsonl", [old])
    arguments = {"timezone": "UTC", "max_quarantine_ratio": 0.01, "partition_start": date(2010, 1, 1)}
    (partition,) = ingest(zone.landing, zone.lake, "events", [DAY], **arguments)
    assert (partition.accepted, partition.quarantined, out_of_scope(partition)) == (0, 1, 1)
    zone.put("a.jsonl", [old | {"city_tier": "9"}])
    with pytest.raises(IngestError, match="1 of 1 rows are bad"):
        ingest(zone.landing, zone.lake, "events", [DAY], **arguments)
