"""The ledger: what a release restates of the last one, by which cause, and what it takes over."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from unittest.mock import patch

import duckdb
import pytest

from orchestration.base.errors import NorthstarError
from orchestration.marts import MartSpec, Periods
from orchestration.publishing.candidate import Candidate
from orchestration.publishing.comparison.changes import Snapshot
from orchestration.publishing.comparison.restatements import LEDGER, summary
from orchestration.publishing.facts import NightRecord, RunFacts
from orchestration.publishing.lock import WriterLock
from orchestration.publishing.manifest import GateRecord, Manifest, RowChanges, SourceRecord
from orchestration.publishing.promotion import Verdict
from orchestration.publishing.release import Release
from orchestration.publishing.store import ReleaseStore
from orchestration.warehouse.control import CONTROL_TABLES

DAILY = "mart_engagement__daily"
LTV = "mart_ltv__cohort"
SPECS = {
    DAILY: MartSpec(
        DAILY, ("date",), periods=Periods("date", "day", None, None, "true", (), ("active_count",), ("events",), onward=False)
    ),
    LTV: MartSpec(
        LTV, ("month",), periods=Periods("month", "month", None, None, "true", (), ("revenue",), ("payments",), onward=True)
    ),
}
BEFORE = {"events": {date(2026, 1, day): f"e{day}" for day in range(1, 21)}, "payments": {date(2026, 1, 20): "p20"}}
TODAY = date(2026, 1, 21)
FACTS = RunFacts("20260122T000000Z-abcdef", TODAY, "1", None, BEFORE, "c" * 64, "d" * 64)
FRESH = {"events": {**BEFORE["events"], TODAY: "e21"}, "payments": {**BEFORE["payments"], TODAY: "p21"}}

_OTHER_TABLES = """
CREATE SCHEMA marts; CREATE SCHEMA core; CREATE SCHEMA intermediate;
CREATE TABLE marts.mart_engagement__daily AS
SELECT DATE '2026-01-01' + i::INTEGER AS date, 10::BIGINT AS active_count FROM range(20) AS days(i);
CREATE TABLE marts.mart_ltv__cohort AS SELECT DATE '2025-12-01' AS month, 100::DECIMAL(18, 2) AS revenue;
CREATE TABLE marts.mart_restatements__release (
  release_id VARCHAR, previous_release_id VARCHAR, data_through DATE, mart VARCHAR, series VARCHAR, period VARCHAR,
  period_start DATE, measure VARCHAR, value_before DOUBLE, value_after DOUBLE, change DOUBLE, change_rate DOUBLE, cause VARCHAR,
  possible_causes VARCHAR, late_fact_count BIGINT
);
CREATE TABLE intermediate.int_money__payments (status VARCHAR, paid_date DATE, original_paid_date DATE, landed_date DATE);
CREATE TABLE intermediate.int_activity__visitor_day (
  event_date DATE, anonymous_id VARCHAR, user_id VARCHAR, landed_date DATE, is_bot BOOLEAN
);
CREATE TABLE intermediate.int_identity__visitors (anonymous_id VARCHAR, user_id VARCHAR, person_id VARCHAR);
CREATE TABLE core.fct_person_days (person_id VARCHAR, event_date DATE);
"""


class Home:
    """A home whose first release is out, with data through the 20th."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.store = ReleaseStore(path)
        self.warehouse = path / "warehouse.duckdb"

    def execute(self, *statements: str) -> None:
        with duckdb.connect(str(self.warehouse)) as connection:
            for statement in statements:
                connection.execute(statement)

    def publish(self, release_id: str, through: date, days=BEFORE) -> Release:
        candidate = self.build(RunFacts(release_id, through, "1", None, days, "c" * 64, "d" * 64))
        current = self.store.current()
        sources = {source: SourceRecord(len(known), 1, min(known), max(known), "x", known) for source, known in days.items()}
        manifest = candidate.manifest(
            NightRecord(
                previous_release_id=current and current.release_id,
                config_digest="c" * 64,
                dbt_manifest_digest="d" * 64,
                sources=sources,
                left_out={},
                gate=GateRecord(passed=True, declared=1, evaluated=1, failed=0, warnings=0),
                timings={},
            )
        )
        verdict = Verdict(passed=True, marts_sha256=candidate.marts_sha256, reason="passed")
        with WriterLock(self.path) as lock:
            return self.store.promote(candidate, verdict, manifest, lock)

    def build(self, facts: RunFacts) -> Candidate:
        return self.store.build(self.warehouse, [*SPECS.values(), MartSpec(LEDGER, ())], facts)

    def restate(self, facts: RunFacts = FACTS, *, columns: str = "*") -> list[tuple]:
        """Rows of the ledger of a candidate, which is thrown away."""
        candidate = self.build(facts)
        with duckdb.connect(str(candidate.database), read_only=True) as connection:
            rows = connection.execute(f"SELECT {columns} FROM {LEDGER} ORDER BY ALL").fetchall()
        shutil.rmtree(candidate.path)
        return rows

    def moves(self, *days: int) -> "Home":
        listed = ", ".join(f"DATE '2026-01-{day:02}'" for day in days)
        self.execute(f"UPDATE marts.{DAILY} SET active_count = 11 WHERE date IN ({listed})")
        return self

    def arrived(self, source: str, happened: Sequence[date], arrived: date = TODAY) -> "Home":
        for day in happened:
            self.execute(f"INSERT INTO control.happened VALUES ('{source}', '{arrived}', '{day}', 3)")
        return self


@pytest.fixture(scope="module")
def published_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = Home(tmp_path_factory.mktemp("ledger") / "home")
    home.path.mkdir()
    home.execute(CONTROL_TABLES, _OTHER_TABLES)
    home.publish("20260121T000000Z-abcdef", date(2026, 1, 20), BEFORE)
    return home.path


@pytest.fixture
def home(tmp_path: Path, published_once: Path) -> Home:
    return Home(Path(shutil.copytree(published_once, tmp_path / "home", symlinks=True)))


def test_a_first_release_restates_nothing(home):
    shutil.rmtree(home.path / "published")
    home.moves(5)
    assert home.restate() == []


def test_a_night_without_new_facts_restates_nothing(home):
    assert home.restate() == []


def test_late_facts_are_told_with_what_was_and_is(home):
    home.moves(5).arrived("events", [date(2026, 1, 5), TODAY])
    facts = replace(FACTS, days=FRESH)
    assert home.restate(facts) == [
        (
            facts.release_id,
            "20260121T000000Z-abcdef",
            TODAY,
            DAILY,
            "all",
            "day",
            date(2026, 1, 5),
            "active_count",
            10.0,
            11.0,
            1.0,
            0.1,
            "late_facts",
            "late_facts",
            3,
        )
    ]


def causes(home: Home, facts: RunFacts) -> dict[tuple[str, str], tuple[str, str, int]]:
    rows = home.restate(facts, columns="mart, period_start::varchar, cause, possible_causes, late_fact_count")
    return {(mart, start): (*rest,) for mart, start, *rest in rows}


def test_a_day_that_moved_with_another_one_is_the_other_s_late_facts(home):
    home.moves(5, 6).arrived("events", [date(2026, 1, 5)])
    found = causes(home, replace(FACTS, days=FRESH))
    assert found == {
        (DAILY, "2026-01-05"): ("late_facts", "late_facts", 3),
        (DAILY, "2026-01-06"): ("late_facts", "late_facts", 0),
    }


def test_without_evidence_there_is_no_cause(home):
    home.moves(5).arrived("payments", [date(2026, 1, 5)]).arrived("events", [TODAY])
    assert causes(home, replace(FACTS, days=FRESH)) == {(DAILY, "2026-01-05"): ("other", "other", 0)}


def test_a_file_that_was_replaced_or_taken_back_goes_before_late_facts(home):
    home.moves(5, 7).arrived("events", [date(2026, 1, 5)]).arrived("events", [date(2026, 1, 5)], date(2026, 1, 6))
    days = {"events": {**FRESH["events"], date(2026, 1, 6): "another"}, "payments": BEFORE["payments"]}
    del days["events"][date(2026, 1, 7)]
    assert causes(home, replace(FACTS, days=days)) == {
        (DAILY, "2026-01-05"): ("replaced_files", "replaced_files, late_facts", 3),
        (DAILY, "2026-01-07"): ("replaced_files", "replaced_files", 0),
    }


def test_a_refund_counts_in_the_month_of_what_it_gives_back(home):
    home.execute(
        f"UPDATE marts.{LTV} SET revenue = 80",
        "INSERT INTO intermediate.int_money__payments VALUES ('refunded', '2026-01-21', '2025-12-03', '2026-01-21'),"
        " ('succeeded', '2026-01-21', '2026-01-21', '2026-01-21')",
    )
    home.arrived("payments", [TODAY])
    assert causes(home, replace(FACTS, days=FRESH)) == {(LTV, "2025-12-01"): ("refunds", "refunds", 0)}


def test_a_refund_that_was_known_is_no_reason(home):
    home.execute(
        f"UPDATE marts.{LTV} SET revenue = 80",
        "INSERT INTO intermediate.int_money__payments VALUES ('refunded', '2026-01-20', '2025-12-03', '2026-01-20')",
    )
    assert causes(home, replace(FACTS, days=FRESH)) == {(LTV, "2025-12-01"): ("other", "other", 0)}


# The phone was seen on the 5th, the user on the 6th: one person since they came together.
_VISITS = "('2026-01-05', 'phone', NULL, '2026-01-05', false), ('2026-01-06', 'laptop', 'zoe', '2026-01-06', false)"
_DAYS = "('zoe', '2026-01-05'), ('zoe', '2026-01-06'), ('zoe', '2026-01-21'), ('ann', '2026-01-07')"


@pytest.mark.parametrize(
    ("more", "persons", "expected"),
    [
        ("('2026-01-21', 'phone', 'zoe', '2026-01-21', false)", {"phone": "zoe", "laptop": "zoe"}, {"merges"}),
        # The pair was known, the event alone is new.
        (
            "('2026-01-21', 'phone', 'zoe', '2026-01-21', false), ('2026-01-06', 'phone', 'zoe', '2026-01-06', false)",
            {"phone": "zoe", "laptop": "zoe"},
            {"other"},
        ),
        # A visitor who signs up is one person before and after.
        ("('2026-01-21', 'phone', 'bob', '2026-01-21', false)", {"phone": "bob", "laptop": "zoe"}, {"other"}),
    ],
)
def test_persons_who_turn_out_to_be_one(home, more, persons, expected):
    home.moves(5)
    home.execute(
        f"INSERT INTO intermediate.int_activity__visitor_day VALUES {_VISITS}, {more}",
        f"INSERT INTO core.fct_person_days VALUES {_DAYS}",
    )
    for device, person in persons.items():
        home.execute(
            "INSERT INTO intermediate.int_identity__visitors SELECT DISTINCT anonymous_id, user_id,"
            f" '{person}' FROM intermediate.int_activity__visitor_day WHERE anonymous_id = '{device}'"
        )
    assert {cause for cause, *_ in causes(home, replace(FACTS, days=FRESH)).values()} == expected


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"config_digest": "e" * 64}, "changed_rule, late_facts"),
        ({"dbt_manifest_digest": "e" * 64}, "changed_rule, late_facts"),
        ({"erased_persons": 1}, "erasure, late_facts"),
        ({"erased_persons": 1, "config_digest": "e" * 64}, "changed_rule, erasure, late_facts"),
    ],
)
def test_a_changed_rule_and_an_erasure_may_move_anything(home, change, expected):
    home.moves(5).arrived("events", [date(2026, 1, 5)])
    found = causes(home, replace(FACTS, days=FRESH, **change))
    assert found == {(DAILY, "2026-01-05"): (expected.split(", ")[0], expected, 3)}


def test_what_was_restated_stays_for_400_days(home):
    home.moves(5).arrived("events", [date(2026, 1, 5)])
    first = home.restate(replace(FACTS, days=FRESH))
    home.publish(FACTS.release_id, TODAY, FRESH)
    second = RunFacts("20260123T000000Z-abcdef", date(2026, 1, 22), "1", None, FRESH, "c" * 64, "d" * 64)
    assert home.restate(second) == first
    home.moves(6)
    assert len(home.restate(second)) == 2
    # The one of the 21st is gone when the 400 days before the last complete one do not reach it.
    for through, kept in ((date(2027, 2, 24), 1), (date(2027, 2, 25), 0)):
        rows = home.restate(replace(second, data_through=through))
        assert len([row for row in rows if row[0] == FACTS.release_id]) == kept


def test_a_release_of_before_the_days_were_kept_knows_what_is_newer(home):
    home.moves(5).arrived("events", [date(2026, 1, 5)]).arrived("events", [date(2026, 1, 6)], date(2026, 1, 6))
    last = home.store.current()
    sources = {source: replace(record, days={}) for source, record in last.manifest.sources.items()}
    old = replace(last, manifest=replace(last.manifest, sources=sources))
    with patch.object(ReleaseStore, "current", lambda _: old):
        rows = home.restate(replace(FACTS, days=FRESH), columns="cause, possible_causes, late_fact_count")
    assert rows == [("late_facts", "late_facts", 3)]


def test_a_damaged_release_is_named(home):
    last = home.store.current()
    last.database.chmod(0o600)
    last.database.write_bytes(b"no database")
    with pytest.raises(NorthstarError, match=f"release {last.release_id} cannot be read"):
        home.restate()


def test_the_sum_of_it_counts_periods_and_causes(home):
    home.moves(5, 6).arrived("events", [date(2026, 1, 5)])
    home.execute(f"UPDATE marts.{LTV} SET revenue = 80")
    facts = replace(FACTS, days=FRESH)
    candidate = home.build(facts)
    rows = {DAILY: RowChanges(1, 2, 3, 4), LTV: "a reason"}
    with home.store.opened({"after": candidate.database}) as connection:
        after = Snapshot.of_release("after", candidate)
        found = summary(connection, after, rows, facts.release_id)
        nothing = summary(connection, after, rows, "20260101T000000Z-000000")
        without = summary(connection, replace(after, columns={}), rows, facts.release_id)
    assert (found.rows, found.incomparable) == ({DAILY: RowChanges(1, 2, 3, 4)}, {LTV: "a reason"})
    daily, ltv = found.restated[DAILY], found.restated[LTV]
    assert (daily.periods, daily.first, daily.last) == (2, date(2026, 1, 5), date(2026, 1, 6))
    assert (daily.largest_change_rate, daily.causes) == (pytest.approx(0.1), {"late_facts": 2})
    assert (ltv.periods, ltv.largest_change_rate, ltv.causes) == (1, pytest.approx(0.2), {"other": 1})
    assert (found.restated_periods, found.causes) == (3, {"late_facts": 2, "other": 1})
    assert str(found) == "3 closed periods (late facts, other)"
    assert str(nothing) == str(without) == "none"


def test_the_changes_survive_the_manifest_s_file(home, tmp_path):
    home.moves(5)
    candidate = home.build(FACTS)
    with home.store.opened({"after": candidate.database}) as connection:
        found = summary(connection, Snapshot.of_release("after", candidate), {DAILY: "a reason"}, FACTS.release_id)
    manifest = replace(home.store.current().manifest, changes=found)
    (tmp_path / "manifest.json").write_text(manifest.to_json())
    assert Manifest.read(tmp_path / "manifest.json") == manifest
