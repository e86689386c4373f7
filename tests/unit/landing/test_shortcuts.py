"""Shortcuts of ingest, which change no verdict and no byte: DuckDB's readers, cheap checks of cells, small days together."""

import itertools
import json
import re
from datetime import date, timedelta

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from orchestration.landing import cells, copying
from orchestration.landing.cells import Cell
from orchestration.landing.source import Type
from tests.selection import drawn
from tests.unit.landing.test_ingest import DAY, EVENT, Zone


@pytest.fixture
def zone(tmp_path):
    return Zone(tmp_path)


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.jsonl", "a.jsonl.gz"])
def test_a_sound_file_is_read_by_duckdb(zone, name, monkeypatch):
    def fail(*_: object) -> None:
        raise AssertionError("read line by line")

    monkeypatch.setattr("orchestration.landing.readers.csv_records", fail)
    monkeypatch.setattr("orchestration.landing.readers.json_records", fail)
    rows = [EVENT | {"page": "ü\n", "event_id": "e1"}, EVENT | {"properties": '{"a": "\\u0000"}', "value": "x"}]
    zone.put(name, rows)
    (partition,) = zone.ingest()
    assert (partition.accepted, partition.reasons) == (1, {"value: not a number": 1})


ODD_LINES = [
    "",
    " ",
    '\t{"event_id":"t"}',
    ' {"event_id":"s"} ',
    '{"event_id":"r"}\r',
    '{"event_id":"r"} \t\r',
    '{"a":1}{"b":2}',
    '{"a":1,}',
    '{"a":NaN}',
    '{"a":1}\r{"b":1}',
    "{",
    "null",
    "[{}]",
    '{"event_id":"\x01"}',
    '{"event_id":1,"event_id":"twice"}',
    '{"a":"\\ud800"}',
    '{"a":1} // comment',
    '{"user_id":1.0,"Event_Id":"\\t"}',
    '{"value":1e400,"city_tier":123456789012345678901234567890}',
]
LINES = st.dictionaries(st.sampled_from([*EVENT, "page", "Page", "x"]), st.text(max_size=4) | st.integers() | st.none())


def judge_by_both_readers(zone: Zone, lines: list[str]) -> None:
    """Compare the rows of these lines, read by DuckDB if they are sound, with those read beside a malformed line."""
    text = "\n".join([json.dumps(EVENT), *lines]) + "\n"
    zone.put("alone.jsonl", text)
    zone.put("beside.jsonl", text + "bad\n")
    zone.ingest()
    columns = "landed_file, landed_row, event_id, event, occurred_at, user_id, page, extra"
    for rows in (zone.rows(columns), zone.refused(columns="landed_file, landed_row, reason, row")):
        beside = [row[1:] for row in rows if row[0] == "beside.jsonl" and '"bad"' not in row]
        assert [row[1:] for row in rows if row[0] == "alone.jsonl"] == beside


@pytest.mark.parametrize("line", ODD_LINES)
def test_both_readers_say_the_same_of_an_odd_line(zone, line):
    judge_by_both_readers(zone, [line, json.dumps(EVENT | {"event_id": "behind"})])


@settings(max_examples=drawn(12), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(LINES.map(json.dumps) | st.sampled_from(ODD_LINES), max_size=6))
def test_both_readers_say_the_same_of_lines(tmp_path_factory, lines):
    judge_by_both_readers(Zone(tmp_path_factory.mktemp("lines")), lines)


SPACES = ["", " ", "\t", "\n", "\r\n", "\u3000", "\0", '"']


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.parquet"])
@pytest.mark.parametrize("spaces", [SPACES[:2], SPACES[:4], SPACES])
def test_white_space_at_either_end_is_trimmed_in_every_format(zone, name, spaces):
    around = list(itertools.product(spaces, spaces))
    rows = [EVENT | {"page": f"{before}/a b{after}", "theme": before} for before, after in around]
    if name == "a.tsv":
        listed = [rows[0].keys(), *(row.values() for row in rows)]
        quoted = ("\t".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in listed)
        zone.put(name, "\n".join(quoted))
    else:
        zone.put(name, rows)
    zone.ingest()
    trimmed = [(f"{before}/a b{after}".replace("\0", "").strip(), before.replace("\0", "").strip()) for before, after in around]
    assert zone.rows("page, extra ->> 'theme'") == [(page, theme or None) for page, theme in trimmed]


TIMES = st.builds(
    lambda *parts: "".join(parts),
    st.sampled_from(["2024-03-05", "2024-02-29", "2024-02-30", "2024-3-5", "1582-10-10", "1969-12-31", "9999-12-31"]),
    st.sampled_from(["T", " ", "t"]),
    st.sampled_from(["01:02:03", "23:59:59", "24:00:00", "23:59:60", "01:02", "1:02:03"]),
    st.sampled_from(["", ".5", ".123456", ".1234567", ".999999999", "."]),
    st.sampled_from(["", "Z", " Z", "UTC", " UTC", "+00", "+08:00", "-0530", " -0530", "z"]),
)


@settings(max_examples=drawn(60), deadline=None)
@example("2024-03-05T01:02:03.250Z")
@example("2024-03-05 01:02:03")
@given(TIMES)
def test_usual_timestamps_are_converted_like_all_others(text):
    apart = "TRY_CAST(regexp_replace(t, ' ([Z+-])', '\\1') AS TIMESTAMPTZ)"
    by_calendar = f"coalesce(TRY_CAST(t AS TIMESTAMPTZ), {apart})::TIMESTAMP"
    parsed = Cell("t").parsed(Type.TIMESTAMP, "t")
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        found = connection.execute(f"SELECT {parsed}, {by_calendar} FROM (SELECT ?::VARCHAR AS t)", [text]).fetchone()
    assert found is not None
    assert found[0] == (found[1] if re.fullmatch(cells._ISO_TIMESTAMP, text) else None)


def test_a_day_has_the_same_bytes_alone_and_among_others(zone, monkeypatch):
    days = [DAY + timedelta(days=number) for number in range(7)]
    for number, day in enumerate(days):
        bad = [EVENT | {"value": "x"}] * (number % 3)
        times = [f"{DAY}T{(hour * 7) % 24:02}:00:00" for hour in range(number * 5 + 1)]
        zone.put("b.csv", [*(EVENT | {"event_id": f"{at} {number}", "occurred_at": at} for at in times), *bad], day=day)
        zone.put("a.jsonl", [EVENT, *bad], day=day)
    zone.put("a.csv", [EVENT | {"value": "x"}], day=date(2024, 4, 1))
    days.append(date(2024, 4, 1))
    monkeypatch.setattr(copying, "_CHUNK", 3)
    together = zone.ingest(days=days)
    found = {path: path.read_bytes() for path in zone.lake.root.rglob("*.parquet")}
    assert len(found) == 7 + 5
    assert [(*zone.ingest(days=[day]),) for day in days] == [(partition,) for partition in together]
    assert {path: path.read_bytes() for path in zone.lake.root.rglob("*.parquet")} == found
    monkeypatch.setattr(copying, "_SMALL_ROWS", 0)
    assert zone.ingest(days=days) == together


def test_small_and_large_days_of_one_call(zone, monkeypatch):
    monkeypatch.setattr(copying, "_SMALL_ROWS", 3)
    days = [DAY + timedelta(days=number) for number in range(6)]
    for number, day in enumerate(days):
        zone.put("a.csv", [EVENT | {"event_id": f"{number}"}] * (number + 1), day=day)
    assert [partition.accepted for partition in zone.ingest(days=days)] == [1, 2, 3, 4, 5, 6]
    for number, day in enumerate(days):
        (path,) = zone.lake.files("events", [day])
        assert pq.read_table(path, partitioning=None)["event_id"] == pa.chunked_array([[f"{number}"] * (number + 1)])
