"""What `northstar diff` shows of two releases."""

from datetime import date

import duckdb
import pytest

from orchestration.base.errors import UserError
from orchestration.marts import MartSpec, Periods
from orchestration.publishing.comparison.diff import Move, ReleaseDiff, diff
from orchestration.publishing.lock import WriterLock
from orchestration.publishing.manifest import RowChanges

MRR, METRICS, NEW = "mart_mrr__month", "mart_metric__daily", "mart_new"
SPECS = {
    MRR: MartSpec(
        MRR,
        ("month", "segment"),
        periods=Periods("month", "day", None, None, "true", (), ("closing_mrr",), ("subscriptions",), onward=False),
    ),
    METRICS: MartSpec(METRICS, ("metric", "value")),
    NEW: MartSpec(NEW, ("range",)),
}


@pytest.fixture
def two(published):
    """A store and the ids of its two releases: of 50 rows one went, one came, four changed; a column and a mart are new."""
    old = published.store.current()
    published.fill(version=1)
    with duckdb.connect(str(published.warehouse)) as connection:
        execute = connection.execute
        execute("DELETE FROM marts.mart_mrr__month WHERE month = '2026-01-08'")
        execute("UPDATE marts.mart_mrr__month SET closing_mrr = closing_mrr * 2 WHERE month < '2026-01-04'")
        execute("UPDATE marts.mart_mrr__month SET closing_mrr = closing_mrr + 1 WHERE month IN ('2026-01-01', '2026-01-21')")
        execute("INSERT INTO marts.mart_mrr__month VALUES ('2026-12-31', 'all', 9)")
        execute("ALTER TABLE marts.mart_metric__daily ADD COLUMN target DOUBLE")
        execute("CREATE TABLE marts.mart_new AS FROM range(3)")
    with WriterLock(published.path) as lock:
        new = published.promote(published.build([MRR, METRICS, NEW]), lock)
    return published.store, old.release_id, new.release_id


def test_rows_and_columns_are_compared_by_mart(two):
    store, old, new = two
    found = {mart.mart: mart for mart in diff(store, old, new, SPECS).marts}
    assert {name: mart.rows for name, mart in found.items()} == {
        METRICS: RowChanges(0, 0, 0, 50),
        MRR: RowChanges(1, 1, 4, 45),
        NEW: RowChanges(3, 0, 0, 0),
    }
    assert list(found) == sorted(found)
    assert [change.name for change in found[METRICS].schema] == ["mart_metric__daily.target"]
    assert found[MRR].schema == ()
    back = {mart.mart: mart.rows for mart in diff(store, new, old, SPECS).marts}
    assert (back[MRR], back[NEW]) == (RowChanges(1, 1, 4, 45), RowChanges(0, 3, 0, 0))


def test_moves_are_in_order_of_their_size_those_from_nothing_first(two):
    moves = diff(*two, SPECS).moves
    assert [(str(move.period_start), move.before, move.after) for move in moves] == [
        ("2026-01-01", 0.0, 1.0),
        ("2026-01-08", 7.0, None),
        ("2026-01-03", 2.0, 4.0),
        ("2026-01-02", 1.0, 2.0),
        ("2026-01-21", 20.0, 21.0),
    ]
    assert [move.change_rate for move in moves] == [float("inf"), -1.0, 1.0, 1.0, pytest.approx(0.05)]
    assert {(move.mart, move.series, move.period, move.measure) for move in moves} == {(MRR, "all", "day", "closing_mrr")}


def test_a_mart_that_is_not_known_any_more_cannot_be_compared(two):
    (found,) = [mart for mart in diff(*two, {}).marts if mart.mart == MRR]
    assert found.rows == "this version of Northstar does not know the mart"


def test_equal_releases_differ_in_nothing(published):
    old, new = published.store.current(), published.publish(version=1)
    found = diff(published.store, old.release_id, new.release_id, SPECS)
    assert {mart.rows for mart in found.marts} == {RowChanges(0, 0, 0, 50)}
    assert (found.moves, found.beyond(0)) == ((), [])


def test_a_release_is_not_compared_with_itself(published):
    current = published.store.current().release_id
    with pytest.raises(UserError, match="twice"):
        diff(published.store, current, current, SPECS)


def test_beyond_a_share_is_more_than_it():
    def move(before: float | None, after: float | None) -> Move:
        return Move(MRR, "all", "day", date(2026, 1, 1), "closing_mrr", before, after)

    moves = (move(100, 105), move(100, 94), move(-100, -106), move(None, 1), move(0, -1), move(5, None))
    assert ReleaseDiff((), moves).beyond(0.05) == list(moves[1:])
    assert ReleaseDiff((), moves).beyond(1) == [moves[3], moves[4]]
