"""A manifest survives its file; a digest changes with the rows and with nothing else."""

import hashlib
import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.base.errors import NorthstarError
from orchestration.publishing.lock import WriterLock
from orchestration.publishing.manifest import Column, Manifest, MartRecord, breaking, schema_changes, table_digest

CELL = st.one_of(st.none(), st.sampled_from(["", "-", "a", "b", "1:a", "a1:b", "NULL", "中"]), st.text(max_size=4))
ROWS = st.lists(st.tuples(CELL, CELL), min_size=1, max_size=6)


@pytest.fixture(scope="module")
def connection():
    with duckdb.connect() as connection:
        yield connection


def digest(connection, rows, columns=("x", "y"), types=("VARCHAR", "VARCHAR")) -> str:
    fields = ", ".join(f"{name} {type_}" for name, type_ in zip(columns, types, strict=True))
    connection.execute(f"CREATE OR REPLACE TABLE t ({fields})")
    if rows:
        places = ", ".join(["(" + ", ".join("?" * len(columns)) + ")"] * len(rows))
        connection.execute(f"INSERT INTO t VALUES {places}", [cell for row in rows for cell in row])
    return table_digest(connection, "t")


@settings(max_examples=40)
@given(ROWS, st.randoms())
def test_digest_ignores_order_but_counts_duplicates_and_losses(connection, rows, random):
    expected = digest(connection, rows)
    shuffled = list(rows)
    random.shuffle(shuffled)
    assert digest(connection, shuffled) == expected
    assert digest(connection, [*rows, random.choice(rows)]) != expected
    assert digest(connection, rows[1:]) != expected


@settings(max_examples=40)
@given(ROWS, ROWS)
def test_digests_are_equal_exactly_when_the_multisets_are(connection, left, right):
    same = sorted(map(repr, left)) == sorted(map(repr, right))
    assert (digest(connection, left) == digest(connection, right)) is same


def test_digest_knows_null_from_empty_and_cells_from_their_neighbours(connection):
    tables = [[(None, "")], [("", None)], [("", "")], [("ab", "c")], [("a", "bc")], [("a", "b"), ("a", "b")], [("a", "b")], []]
    assert len({digest(connection, rows) for rows in tables}) == len(tables)


def test_digest_knows_names_types_and_nested_values(connection):
    tables = [
        digest(connection, [("1",)], ("x",), ("VARCHAR",)),
        digest(connection, [("1",)], ("y",), ("VARCHAR",)),
        digest(connection, [(1,)], ("x",), ("INTEGER",)),
        digest(connection, [(["a, b"],)], ("x",), ("VARCHAR[]",)),
        digest(connection, [(["a", "b"],)], ("x",), ("VARCHAR[]",)),
        digest(connection, [([None],)], ("x",), ("VARCHAR[]",)),
        digest(connection, [(["NULL"],)], ("x",), ("VARCHAR[]",)),
    ]
    assert len(set(tables)) == len(tables)


@settings(max_examples=40)
@given(ROWS)
def test_digest_is_what_its_definition_says(connection, rows):
    """Computed again without DuckDB: releases made years apart, by other versions, are compared by it."""
    assert digest(connection, rows) == defined(rows)


def test_digest_is_defined_for_texts_of_any_length(connection):
    rows = [("x" * length, None if length % 2 else "ü" * length) for length in (0, 9, 10, 31, 32, 62, 63, 64, 65, 99, 100, 5_000)]
    assert digest(connection, rows) == defined(rows)
    assert digest(connection, []) == defined([])


def defined(rows: list[tuple[str | None, str | None]]) -> str:
    cells = [["-" if cell is None else f"{len(cell.encode())}:{cell}" for cell in row] for row in rows]
    hashes = [hashlib.md5("".join(row).encode()).hexdigest() for row in cells]  # noqa: S324 - the digest's definition
    sums = [sum(int(h[:16], 16) for h in hashes), sum(int(h[16:], 16) for h in hashes)]
    told = [str(len(rows)), *map(str, sums if rows else (None, None))]
    return hashlib.sha256(json.dumps([[["x", "VARCHAR"], ["y", "VARCHAR"]], told]).encode()).hexdigest()


def test_manifest_survives_its_file(published):
    release = published.store.current()
    assert Manifest.read(release.path / "manifest.json") == release.manifest
    assert json.loads(release.manifest.to_json())["schema_version"] == 3


@pytest.mark.parametrize("version", [1, 2])
def test_a_manifest_of_before_changes_and_days_were_kept_is_read(published, tmp_path: Path, version: int):
    fields = json.loads(published.store.current().manifest.to_json())
    del fields["changes"]
    for source in fields["sources"].values():
        del source["days"]
    (tmp_path / "manifest.json").write_text(json.dumps({**fields, "schema_version": version}))
    manifest = Manifest.read(tmp_path / "manifest.json")
    assert manifest.changes is None
    assert {source.partitions for source in manifest.sources.values()} == {2}
    assert all(source.days == {} for source in manifest.sources.values())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": 4}, "schema_version 4"),
        ({"data_through": "yesterday"}, "data_through"),
        ({"gate": {"passed": True}}, "gate.declared"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_manifest_that_is_none_is_refused_by_file_and_key(published, tmp_path: Path, change, message):
    fields = json.loads(published.store.current().manifest.to_json())
    file = tmp_path / "manifest.json"
    file.write_text(json.dumps({**fields, **change}))
    with pytest.raises(NorthstarError, match=message) as error:
        Manifest.read(file)
    assert str(file) in str(error.value)


@pytest.mark.parametrize("text", [None, "{", "[]"])
def test_a_missing_or_broken_manifest_is_named(tmp_path: Path, text):
    file = tmp_path / "manifest.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(NorthstarError, match=r"manifest\.json"):
        Manifest.read(file)


def test_schema_changes_name_what_was_added_removed_and_retyped():
    def record(**columns):
        return MartRecord(1, "x", tuple(Column(name, type_) for name, type_ in columns.items()), 1)

    before = {"m": record(a="DATE", b="BIGINT", c="VARCHAR"), "gone": record(a="DATE")}
    after = {"m": record(c="VARCHAR", b="DOUBLE", d="DATE"), "new": record(a="DATE")}
    assert {(change.name, change.kind) for change in schema_changes(before, after)} == {
        ("gone", "removed"),
        ("new", "added"),
        ("m.a", "removed"),
        ("m.b", "retyped"),
        ("m.d", "added"),
    }
    assert schema_changes(before, before) == []


def test_what_breaks_readers_is_what_no_raised_version_told_them_of():
    def record(version, **columns):
        return MartRecord(1, "x", tuple(Column(name, type_) for name, type_ in columns.items()), 1, version)

    before = {"m": record(2, a="DATE", b="BIGINT"), "gone": record(1, a="DATE")}
    same = {"gone": before["gone"]}

    def broken(after):
        return [(change.name, change.kind) for change in breaking(schema_changes(before, after))]

    assert broken({**same, "m": record(2, a="DATE", b="BIGINT", c="DATE")}) == []
    assert broken({**same, "m": record(2, b="DOUBLE")}) == [("m.a", "removed"), ("m.b", "retyped")]
    assert broken({**same, "m": record(3, b="DOUBLE")}) == []
    assert broken({**same, "m": record(1, a="DATE", b="BIGINT")}) == [("m", "lowered")]
    # Nobody is told of one mart's end by another one's version.
    assert broken({"m": record(3, b="DOUBLE")}) == [("gone", "removed")]


def test_a_manifest_from_before_versions_is_read_as_version_1(published, tmp_path: Path):
    fields = json.loads(published.store.current().manifest.to_json())
    del fields["schema_changes"]
    for mart in fields["marts"].values():
        del mart["version"], mart["published_until"]
    file = tmp_path / "manifest.json"
    file.write_text(json.dumps({**fields, "schema_version": 2}))
    manifest = Manifest.read(file)
    assert manifest == published.store.current().manifest
    assert {mart.version for mart in manifest.marts.values()} == {1}


def test_a_manifest_names_what_was_warned_of_and_waived_and_older_ones_need_not(published):
    path = published.store.current().path / "manifest.json"
    manifest = Manifest.read(path)
    gate = replace(manifest.gate, warnings=1, warned=("mart_x.a",), waived={"mart_x.b": "until 2026-12-01 by ops: known"})
    told = path.with_name("told.json")
    told.write_text(replace(manifest, gate=gate).to_json(), encoding="utf-8")
    assert Manifest.read(told).gate == gate
    fields = json.loads(told.read_text(encoding="utf-8"))
    for name in ("warned", "waived"):
        del fields["gate"][name]
    told.write_text(json.dumps(fields | {"schema_version": 2}), encoding="utf-8")
    assert (Manifest.read(told).gate.warned, Manifest.read(told).gate.waived) == ((), {})


def test_the_columns_of_a_release_are_counted_and_its_money_summed(published):
    published.fill(version=2, rows=10)
    with duckdb.connect(str(published.warehouse)) as connection:
        connection.execute("UPDATE marts.mart_mrr__month SET closing_mrr = NULL WHERE closing_mrr > 10")
    with WriterLock(published.path) as lock:
        release = published.promote(published.build(), lock)
    columns = published.store.columns(release)
    assert columns["mart_mrr__month"] == {"month": (10, None), "segment": (10, None), "closing_mrr": (6, Decimal(30))}
    assert columns["mart_metric__daily"]["value"] == (10, None)
