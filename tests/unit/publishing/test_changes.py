"""Two versions of the marts, compared: rows by their grain, and figures of closed periods."""

from collections.abc import Iterator
from datetime import date

import duckdb
import pytest

from orchestration.marts import MartSpec, Periods
from orchestration.publishing.comparison.changes import Snapshot, count_rows, moved_sql
from orchestration.publishing.manifest import PseudonymRecord, RowChanges, read_columns

THROUGH = date(2026, 1, 4)
DAILY = MartSpec(
    "m",
    ("day", "dimension", "segment"),
    periods=Periods("day", "day", None, None, "dimension = 'all'", (), ("visits", "sales"), ("events",), onward=False),
)
COHORT = MartSpec(
    "m",
    ("rule", "cohort", "age"),
    periods=Periods("cohort", None, "rule", "is_mature", "true", ("rule",), ("kept",), ("events",), onward=True),
)


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'; CREATE SCHEMA old; CREATE SCHEMA new")
        yield connection


def fill(connection, schema: str, mart: str, columns: str, rows: list[tuple]) -> None:
    connection.execute(f"CREATE TABLE {schema}.{mart} ({columns})")
    if rows:
        connection.executemany(f"INSERT INTO {schema}.{mart} VALUES ({', '.join('?' * len(rows[0]))})", rows)


def sides(connection, *, through=(THROUGH, THROUGH), pseudonyms=(None, None)) -> list[Snapshot]:
    found = []
    for schema, day, record in zip(("old", "new"), through, pseudonyms, strict=True):
        tables = connection.execute("SELECT table_name FROM duckdb_tables() WHERE schema_name = ?", [schema]).fetchall()
        columns = {mart: read_columns(connection, f"{schema}.{mart}") for (mart,) in tables}
        found.append(Snapshot(schema, columns, day, pseudonyms=record))
    return found


def moves(connection, spec: MartSpec, **options) -> list[tuple]:
    rows = connection.execute(moved_sql({"m": spec}, *sides(connection, **options))).fetchall()
    return sorted(
        (series, period, str(start), measure, before, after) for _, series, period, start, measure, before, after in rows
    )


DAY_COLUMNS = "day DATE, dimension VARCHAR, segment VARCHAR, visits BIGINT, sales DECIMAL(18, 2)"


def on(day: int, visits: int | None, sales: str | None = "1.00", dimension: str = "all") -> tuple:
    return date(2026, 1, day), dimension, dimension, visits, sales


def test_rows_are_told_apart_by_their_grain(connection):
    fill(connection, "old", "m", DAY_COLUMNS, [on(1, 1), on(2, 2), on(3, None)])
    fill(connection, "new", "m", DAY_COLUMNS, [on(1, 1), on(2, 3), on(3, None), on(4, 4), on(5, 5)])
    assert count_rows(connection, {"m": DAILY}, *sides(connection)) == {"m": RowChanges(2, 0, 1, 2)}
    assert count_rows(connection, {"m": DAILY}, *reversed(sides(connection))) == {"m": RowChanges(0, 2, 1, 2)}


def test_rows_are_compared_over_the_columns_that_both_have(connection):
    fill(connection, "old", "m", f"{DAY_COLUMNS}, gone INTEGER, kind INTEGER", [(*on(1, 1), 1, 1), (*on(2, 1), 1, 1)])
    fill(connection, "new", "m", f"{DAY_COLUMNS}, kind VARCHAR, fresh INTEGER", [(*on(1, 1), "1", 2), (*on(2, 2), "1", 2)])
    assert count_rows(connection, {"m": DAILY}, *sides(connection)) == {"m": RowChanges(0, 0, 1, 1)}


def test_marts_of_one_side_alone_and_empty_ones(connection):
    fill(connection, "old", "gone", DAY_COLUMNS, [on(1, 1)])
    fill(connection, "new", "fresh", DAY_COLUMNS, [on(1, 1), on(2, 1)])
    fill(connection, "old", "m", DAY_COLUMNS, [])
    fill(connection, "new", "m", DAY_COLUMNS, [on(1, 1)])
    found = count_rows(connection, {"m": DAILY}, *sides(connection))
    assert found == {"fresh": RowChanges(2, 0, 0, 0), "gone": RowChanges(0, 1, 0, 0), "m": RowChanges(1, 0, 0, 0)}


def test_what_cannot_be_compared_is_said_and_not_counted(connection):
    fill(connection, "old", "m", "day DATE, visits BIGINT", [(date(2026, 1, 1), 1)])
    fill(connection, "new", "m", DAY_COLUMNS, [on(1, 1)])
    fill(connection, "old", "unknown", DAY_COLUMNS, [on(1, 1)])
    fill(connection, "new", "unknown", DAY_COLUMNS, [on(1, 1)])
    found = count_rows(connection, {"m": DAILY}, *sides(connection))
    assert found["m"] == "its rows are told apart by dimension, segment, which the two releases do not share"
    assert found["unknown"] == "this version of Northstar does not know the mart"


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (PseudonymRecord("k1", {"m": {"person_id": "person"}}), RowChanges(0, 0, 1, 0)),
        (PseudonymRecord("k2", {"m": {"person_id": "person"}}), "person_id is a pseudonym by another key"),
        (PseudonymRecord("k1", {"m": {"person_id": "user"}}), "person_id is a pseudonym by another key"),
        (None, "person_id is a pseudonym by another key"),
    ],
)
def test_ids_by_another_key_are_other_ids(connection, other, expected):
    fill(connection, "old", "m", "person_id VARCHAR, worth INTEGER", [("p_1", 1)])
    fill(connection, "new", "m", "person_id VARCHAR, worth INTEGER", [("p_1", 2)])
    record = PseudonymRecord("k1", {"m": {"person_id": "person"}})
    found = count_rows(connection, {"m": MartSpec("m", ("person_id",))}, *sides(connection, pseudonyms=(record, other)))
    assert found == {"m": expected}


def test_ids_by_another_key_beside_the_grain_are_not_compared(connection):
    for schema, pseudonym in (("old", "p_1"), ("new", "p_9")):
        fill(connection, schema, "m", "day DATE, best_id VARCHAR, visits INTEGER", [(date(2026, 1, 1), pseudonym, 1)])
    records = [PseudonymRecord(key, {"m": {"best_id": "person"}}) for key in ("k1", "k2")]
    assert count_rows(connection, {"m": MartSpec("m", ("day",))}, *sides(connection, pseudonyms=records)) == {
        "m": RowChanges(0, 0, 0, 1)
    }


def test_equal_digests_need_no_look(connection):
    old, new = (Snapshot("nowhere", {"m": ()}, THROUGH, {"m": digest}) for digest in ("same", "same"))
    connection.execute("CREATE SCHEMA nowhere; CREATE TABLE nowhere.m AS FROM range(7)")
    assert count_rows(connection, {"m": DAILY}, old, new) == {"m": RowChanges(0, 0, 0, 7)}


def test_figures_of_closed_days_move_and_those_of_open_ones_do_not(connection):
    fill(connection, "old", "m", DAY_COLUMNS, [on(1, 5), on(2, 6), on(3, None), on(4, 1), on(5, 1), on(2, 1, dimension="plan")])
    fill(
        connection,
        "new",
        "m",
        DAY_COLUMNS,
        [on(1, 5), on(2, 7, "3.50"), on(3, 2), on(5, 2), on(6, 1), on(2, 9, dimension="plan")],
    )
    assert moves(connection, DAILY) == [
        ("all", "day", "2026-01-02", "sales", 1.0, 3.5),
        ("all", "day", "2026-01-02", "visits", 6.0, 7.0),
        ("all", "day", "2026-01-03", "visits", None, 2.0),
        ("all", "day", "2026-01-04", "sales", 1.0, None),
        ("all", "day", "2026-01-04", "visits", 1.0, None),
    ]
    # Closed on both sides: on the day of the one that ends first.
    assert {start for _, _, start, *_ in moves(connection, DAILY, through=(THROUGH, date(2026, 1, 2)))} == {"2026-01-02"}
    assert {start for _, _, start, *_ in moves(connection, DAILY, through=(date(2026, 1, 2), THROUGH))} == {"2026-01-02"}


def test_only_cells_that_were_complete_are_summed(connection):
    columns = "rule VARCHAR, cohort DATE, age INTEGER, kept INTEGER, is_mature BOOLEAN"
    first, second, third = (date(2026, 1, day) for day in (1, 2, 3))
    fill(
        connection,
        "old",
        "m",
        columns,
        [
            ("day", first, 0, 9, True),
            ("day", first, 1, 4, True),
            ("day", first, 2, None, False),
            ("day", third, 0, 2, True),
            ("day", third, 1, None, False),
        ],
    )
    fill(
        connection,
        "new",
        "m",
        columns,
        [
            ("day", first, 0, 9, True),
            ("day", first, 1, 5, True),
            ("day", first, 2, 3, True),
            # A cohort that nobody knew: its first day was over for younger ones, its second was not.
            ("day", second, 0, 1, True),
            ("day", second, 1, 1, True),
            ("day", third, 0, 2, True),
            ("day", third, 1, 1, True),
            # A series that nobody knew has no past.
            ("week", first, 0, 7, True),
        ],
    )
    assert moves(connection, COHORT) == [
        ("day", "day", "2026-01-01", "kept", 13.0, 14.0),
        ("day", "day", "2026-01-02", "kept", None, 1.0),
    ]


def test_marts_and_measures_that_one_side_lacks_have_not_moved(connection):
    fill(connection, "old", "m", "day DATE, dimension VARCHAR, segment VARCHAR, visits BIGINT", [on(1, 1)[:4]])
    fill(connection, "new", "m", DAY_COLUMNS, [on(1, 2)])
    fill(connection, "new", "other", DAY_COLUMNS, [on(1, 2)])
    assert moves(connection, DAILY) == [("all", "day", "2026-01-01", "visits", 1.0, 2.0)]
    assert connection.execute(moved_sql({"other": DAILY}, *sides(connection))).fetchall() == []
    lacking = MartSpec("m", ("day", "plan"), periods=DAILY.periods)
    assert connection.execute(moved_sql({"m": lacking}, *sides(connection))).fetchall() == []
