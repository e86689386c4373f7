"""Ids leave as keyed pseudonyms, releases say so, and releases that hold an erased person can be found and removed."""

import json
from pathlib import Path

import duckdb
import pytest

from orchestration.base.errors import NorthstarError, UserError
from orchestration.base.pseudonyms import Key
from orchestration.publishing import candidate
from orchestration.publishing.lock import WriterLock
from orchestration.publishing.manifest import ErasureRecord, Manifest, PseudonymRecord
from orchestration.publishing.promotion import PublishRefused, Verdict
from orchestration.publishing.release import Release
from orchestration.publishing.store import ReleaseStore
from tests.specs import declare, run_facts
from tests.unit.publishing.conftest import Home

KEY, OTHER = Key("the key of these tests"), Key("another key of theirs")
IDS = {
    "mart_person__list": {"person_id": "person", "account_id": "account"},
    "mart_person__value": {"person_id": "person", "user_id": "user"},
    "mart_not__there": {"person_id": "person"},
}
MARTS = ("mart_person__list", "mart_person__value")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.path.mkdir()
    with duckdb.connect(str(home.warehouse)) as connection:
        connection.execute("CREATE SCHEMA marts")
        connection.execute(
            "CREATE TABLE marts.mart_person__list AS SELECT 'u:' || i AS person_id, 'acme' || i % 3 AS account_id, i AS score "
            "FROM range(40) t(i) UNION ALL SELECT NULL, NULL, 0"
        )
        connection.execute(
            "CREATE TABLE marts.mart_person__value AS SELECT 'u:' || i AS person_id, i::VARCHAR AS user_id, i * 2 AS value "
            "FROM range(20) t(i)"
        )
    return home


def publish(home: Home, key: Key = KEY, **fields) -> Release:
    current = home.store.current()
    built = home.build(MARTS, order_by={mart: ["person_id"] for mart in MARTS}, pseudonyms=IDS, key=lambda: key)
    fields = {"previous_key": current.manifest.key_fingerprint if current else None, **fields}
    with WriterLock(home.path) as lock:
        verdict = Verdict(passed=True, marts_sha256=built.marts_sha256, reason="all passed")
        return home.store.promote(built, verdict, home.manifest(built, **fields), lock)


def ask(file: Path, sql: str) -> list[tuple]:
    with duckdb.connect(str(file), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def test_published_ids_are_pseudonyms_that_join_across_marts(home):
    release = publish(home)
    rows = ask(release.database, "SELECT person_id, account_id, score FROM mart_person__list ORDER BY score, person_id")
    assert rows == [
        *sorted(
            [(None, None, 0), (KEY.pseudonym("person", "u:0"), KEY.pseudonym("account", "acme0"), 0)],
            key=lambda row: row[0] or "~",
        ),
        *((KEY.pseudonym("person", f"u:{i}"), KEY.pseudonym("account", f"acme{i % 3}"), i) for i in range(1, 40)),
    ]
    joined = "SELECT count(*), bool_and(value = 2 * score) FROM mart_person__list JOIN mart_person__value USING (person_id)"
    assert ask(release.database, joined) == [(20, True)]
    assert ask(release.database, "SELECT user_id FROM mart_person__value WHERE value = 14") == [(KEY.pseudonym("user", "7"),)]
    for file in [release.database, *release.path.glob("parquet/*")]:
        data = file.read_bytes()
        assert b"acme" not in data
        assert b"u:1" not in data


def test_rows_are_ordered_by_what_is_published(home):
    release = publish(home)
    (ids,) = ask(release.database, "SELECT list(person_id ORDER BY rowid) FROM mart_person__list")
    assert ids[0] == [*sorted(ids[0][:-1]), None]
    assert ids[0][:-1] != [KEY.pseudonym("person", f"u:{i}") for i in range(40)]


@pytest.mark.parametrize("few", [1_000, 5])
def test_many_rows_are_put_in_the_same_order_in_less_time(home, monkeypatch, few):
    """Texts of few values are sorted as what they are numbered: with odd texts, and beside columns of many values."""
    with duckdb.connect(str(home.warehouse)) as connection:
        connection.execute(
            "CREATE OR REPLACE TABLE marts.mart_person__list AS SELECT 'u:' || i % 7 AS person_id,"
            " ['', 'it''s', 'Ü', 'a', 'B', NULL][i % 6 + 1] AS account_id, i AS score FROM range(200) t(i) ORDER BY hash(i)"
        )
    options = {"order_by": {"mart_person__list": ["account_id", "person_id", "score"]}, "key": lambda: KEY}
    options["pseudonyms"] = {"mart_person__list": {"person_id": "person"}}
    usual = home.build(["mart_person__list"], **options)
    monkeypatch.setattr(candidate, "_MANY_ROWS", 1)
    monkeypatch.setattr(candidate, "_FEW_VALUES", few)
    other = home.build(["mart_person__list"], **options)
    rows = [ask(built.database, "SELECT *, rowid FROM mart_person__list ORDER BY rowid") for built in (usual, other)]
    assert rows[0] == rows[1]
    assert rows[0] == sorted(rows[0], key=lambda row: (row[1] is None, (row[1] or "").encode(), row[0], row[2]))
    assert usual.marts == other.marts


def test_the_same_key_gives_the_same_digests_another_one_others(home):
    first, second, third = publish(home), publish(home), publish(home, OTHER)
    assert {mart: record.digest for mart, record in first.manifest.marts.items()} == {
        mart: record.digest for mart, record in second.manifest.marts.items()
    }
    assert first.manifest.marts != third.manifest.marts


def test_the_manifest_says_which_columns_and_whether_the_key_is_another(home):
    columns = {mart: IDS[mart] for mart in MARTS}
    first, second, third = publish(home), publish(home), publish(home, OTHER)
    assert first.manifest.pseudonyms == second.manifest.pseudonyms == PseudonymRecord(KEY.fingerprint, columns)
    assert third.manifest.pseudonyms == PseudonymRecord(OTHER.fingerprint, columns, previous_key=KEY.fingerprint)
    assert Manifest.read(third.path / "manifest.json") == third.manifest
    assert "the key of these tests" not in (third.path / "manifest.json").read_text()


def test_a_manifest_of_before_pseudonyms_is_read(home):
    fields = json.loads(publish(home).manifest.to_json())
    older = home.path / "manifest.json"
    older.write_text(json.dumps({**{k: v for k, v in fields.items() if k not in ("pseudonyms", "erasure")}, "schema_version": 1}))
    found = Manifest.read(older)
    assert (found.pseudonyms, found.erasure, found.key_fingerprint) == (None, None, None)


def test_a_manifest_that_tells_another_key_is_refused(home):
    built = home.build(MARTS, order_by={}, pseudonyms=IDS, key=lambda: KEY)
    manifest = home.manifest(built)
    object.__setattr__(manifest, "pseudonyms", None)
    with WriterLock(home.path) as lock, pytest.raises(PublishRefused, match="pseudonyms"):
        home.store.promote(built, Verdict(True, built.marts_sha256, ""), manifest, lock)


@pytest.mark.parametrize(
    ("declared", "key", "message"),
    [
        ({"mart_person__list": {"person": "person"}}, KEY, "the pseudonyms of mart_person__list names columns .* person"),
        (
            {"mart_person__list": {"person_id": "planet"}},
            KEY,
            "mart_person__list.person_id is a pseudonym of 'planet'; known are",
        ),
        ({"mart_person__list": {"score": "user"}}, KEY, "mart_person__list.score is a pseudonym and no VARCHAR but BIGINT"),
        ({"mart_person__list": {"person_id": "person"}}, None, "there is no key"),
    ],
)
def test_a_declaration_that_cannot_be_kept_builds_nothing(home, declared, key, message):
    with pytest.raises(NorthstarError, match=message):
        home.build(MARTS, order_by={}, pseudonyms=declared, key=None if key is None else lambda: key)
    assert not list(home.path.glob("published/.candidate-*"))


def test_without_ids_no_key_is_asked_for(home):
    def refuse() -> Key:
        raise AssertionError("the key was asked for")

    built = home.build(MARTS, order_by={}, pseudonyms={"mart_not__there": {"person_id": "person"}}, key=refuse)
    assert built.pseudonyms is None


def test_releases_that_hold_a_person_are_found_and_removed(home):
    first = publish(home)
    with duckdb.connect(str(home.warehouse)) as connection:
        for mart in MARTS:
            connection.execute(f"DELETE FROM marts.{mart} WHERE person_id = 'u:7'")
    second = publish(home)
    wanted = {KEY.pseudonym("person", "u:7"), KEY.pseudonym("person", "a:nobody")}
    assert home.store.holding(wanted, lambda: KEY) == [first.release_id]
    assert home.store.holding({KEY.pseudonym("user", "7")}, lambda: KEY) == [first.release_id]
    assert home.store.holding({KEY.pseudonym("account", "acme1")}, lambda: KEY) == []
    assert home.store.holding({KEY.pseudonym("person", "u:8")}, lambda: KEY) == [second.release_id, first.release_id]
    assert home.store.holding(set(), lambda: KEY) == []
    # What another key made cannot be compared: it counts as holding them.
    assert home.store.holding({OTHER.pseudonym("person", "u:7")}, lambda: OTHER) == [second.release_id, first.release_id]
    with WriterLock(home.path) as lock:
        with pytest.raises(UserError, match="is the current one and cannot be removed"):
            home.store.remove([second.release_id], lock)
        assert home.store.remove([first.release_id, "20200101T000000Z-abcdef"], lock) == [first.release_id]
    assert [release.release_id for release in home.store.releases()] == [second.release_id]
    record = ErasureRecord(persons=1, partitions_rewritten=3, releases_pruned=(first.release_id,))
    third = publish(home, erasure=record)
    assert Manifest.read(third.path / "manifest.json").erasure == record


def test_a_release_without_ids_of_persons_holds_nobody(published):
    assert published.store.holding({"p_x"}, lambda: KEY) == []


def test_an_open_connection_is_a_warehouse_too(home):
    with duckdb.connect(str(home.warehouse)) as connection:
        built = ReleaseStore(home.path).build(connection, declare(MARTS, pseudonyms=IDS), run_facts(), key=lambda: KEY)
    assert ask(built.database, "SELECT count(*) FROM mart_person__list WHERE person_id LIKE 'p\\_%' ESCAPE '\\'") == [(40,)]
