"""A release is whole, immutable and answered by, or the one before it is."""

import dataclasses
import json
import shutil
from collections import namedtuple
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import pytest

from orchestration.base import digests
from orchestration.base.errors import NorthstarError, UserError
from orchestration.publishing.candidate import SPACE_MARGIN
from orchestration.publishing.lock import StaleToken, WriterLock
from orchestration.publishing.manifest import Manifest, SchemaChange
from orchestration.publishing.promotion import PublishRefused, Verdict
from orchestration.publishing.store import ReleaseStore
from tests.specs import declare, run_facts
from tests.unit.publishing.conftest import MARTS, is_whole

# Building


def test_a_release_holds_tables_comments_parquet_and_its_own_row(home):
    home.path.mkdir()
    home.fill(rows=40)
    comments = {
        "mart_mrr__month": ("One row per month, it's said", {"closing_mrr": "at the month's end"}),
        "mart_left_out": ("ignored", {"x": "y"}),
    }
    candidate = home.build(comments=comments)
    (candidate.path / "gate.json").write_text("{}")
    with WriterLock(home.path) as lock:
        release = home.promote(candidate, lock)

    assert release.is_current
    assert release.path == home.path / "published" / "releases" / candidate.release_id
    assert (home.path / "published" / "marts.duckdb").readlink() == Path("releases", release.release_id, "marts.duckdb")
    assert sorted(str(path.relative_to(release.path)) for path in release.path.rglob("*") if path.is_file()) == [
        "gate.json",
        "manifest.json",
        "marts.duckdb",
        "parquet/mart_metric__daily.parquet",
        "parquet/mart_mrr__month.parquet",
    ]
    assert all(path.stat().st_mode & 0o222 == 0 for path in release.path.rglob("*") if path.is_file())
    pointer = json.loads((home.path / "published" / "current.json").read_text())
    assert pointer == {
        "release_id": release.release_id,
        "path": f"releases/{release.release_id}",
        "data_through": "2026-11-20",
        "published_at": release.manifest.published_at.isoformat(),
    }

    with duckdb.connect() as reader:
        reader.execute(f"ATTACH '{home.path}/published/marts.duckdb' AS n (READ_ONLY)")
        assert reader.execute("SELECT DISTINCT table_type FROM information_schema.tables").fetchall() == [("BASE TABLE",)]
        assert reader.execute("SELECT comment FROM duckdb_tables() WHERE table_name = 'mart_mrr__month'").fetchone() == (
            "One row per month, it's said",
        )
        assert reader.execute("SELECT comment FROM duckdb_columns() WHERE column_name = 'closing_mrr'").fetchone() == (
            "at the month's end",
        )
        months = [month for (month,) in reader.execute("SELECT month FROM n.mart_mrr__month").fetchall()]
        assert months == sorted(months)
        assert len(months) == 40
        for mart in ("mart_mrr__month", "mart_metric__daily"):
            parquet = f"'{release.path}/parquet/{mart}.parquet'"
            assert reader.execute(f"FROM {parquet} EXCEPT ALL FROM n.{mart}").fetchall() == []
            assert reader.execute(f"FROM n.{mart} EXCEPT ALL FROM {parquet}").fetchall() == []
        codecs = f"SELECT DISTINCT compression FROM parquet_metadata('{release.path}/parquet/*.parquet')"
        assert reader.execute(codecs).fetchall() == [("ZSTD",)]
        publication = reader.execute("FROM n._publication").fetchall()
    assert publication == [
        (
            release.release_id,
            date(2026, 11, 20),
            release.manifest.published_at.replace(tzinfo=None),
            "0.1.0",
            "churn-7",
            [{"mart": "mart_mrr__month", "row_count": 40}, {"mart": "mart_metric__daily", "row_count": 40}],
        )
    ]
    assert release.manifest.marts["mart_mrr__month"].rows == 40


def test_the_file_is_stored_for_the_oldest_client(published):
    release = published.store.current()
    with duckdb.connect() as reader:
        reader.execute(f"ATTACH '{release.database}' AS n (READ_ONLY)")
        (tags,) = reader.execute("SELECT tags FROM duckdb_databases() WHERE database_name = 'n'").fetchone()
    assert tags["storage_version"].startswith("v1.0.0")
    # The header's storage number: 64 is what 0.9 to 1.1 wrote and read.
    assert int.from_bytes(release.database.read_bytes()[12:20], "little") == 64
    assert not release.database.with_name("marts.duckdb.wal").exists()


def test_equal_data_gives_equal_digests_and_parquet_bytes_also_through_an_open_connection(home):
    home.path.mkdir()
    home.fill()
    first = home.build()
    with duckdb.connect(str(home.warehouse)) as connection:
        connection.execute("SET preserve_insertion_order = false")
        second = home.store.build(
            connection,
            declare(["mart_mrr__month"], order_by={"mart_mrr__month": ["month"]}),
            run_facts(code_version="0.1.0"),
        )
        assert connection.execute("SELECT count(*) FROM duckdb_databases() WHERE NOT internal").fetchone() == (1,)
    assert first.marts["mart_mrr__month"] == second.marts["mart_mrr__month"]
    files = [candidate.path / "parquet" / "mart_mrr__month.parquet" for candidate in (first, second)]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert first.release_id != second.release_id


@pytest.mark.parametrize(
    ("marts", "options", "message"),
    [
        (["mart_x"], {}, "no mart_x in its schema marts; it has mart_metric__daily, mart_mrr__month"),
        ([], {}, "distinct marts"),
        (["mart_mrr__month"] * 2, {}, "distinct marts"),
        (["_publication"], {}, "lower-case names"),
        (["mart_mrr__month"], {"order_by": {"mart_mrr__month": ["day"]}}, "grain of mart_mrr__month .* day"),
        (["mart_mrr__month"], {"comments": {"mart_mrr__month": ("", {"day": "x"})}}, "comments of mart_mrr__month .* day"),
        (["mart_mrr__month"], {"release_id": "../up"}, "no release id"),
    ],
)
def test_what_cannot_be_built_is_said_and_leaves_nothing(home, marts, options, message):
    home.path.mkdir()
    home.fill()
    with pytest.raises(NorthstarError, match=message):
        home.build(marts, **options)
    assert not list(home.path.glob("published/.candidate-*"))


def test_a_release_id_is_used_once(published):
    with pytest.raises(NorthstarError, match="exists already"):
        published.build(release_id=published.store.current().release_id)


def test_a_failure_half_way_leaves_no_candidate_and_the_warehouse_connection_usable(home):
    home.path.mkdir()
    home.fill()
    with duckdb.connect(str(home.warehouse)) as connection:
        connection.execute("CREATE VIEW marts.mart_bad AS SELECT error('the disk is on fire') AS x FROM range(3)")
        with pytest.raises(NorthstarError, match="on fire"):
            home.store.build(connection, declare(["mart_bad"]), run_facts())
        assert connection.execute("SELECT count(*) FROM duckdb_databases() WHERE NOT internal").fetchone() == (1,)
    assert not list(home.path.glob("published/.candidate-*"))


def test_a_full_disk_is_noticed_before_anything_is_written(published, monkeypatch):
    usage = namedtuple("usage", "total used free")
    published.fill(version=2)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**12, 10**12, SPACE_MARGIN))
    with pytest.raises(NorthstarError, match=r"has 64 MB free, and a release of 2 marts needs about 64 MB: free some space"):
        published.build()
    assert not list(published.path.glob("published/.candidate-*"))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**12, 0, SPACE_MARGIN + 10**6))
    assert published.build().path.is_dir()


# Refusals: each leaves the old release answering


def refused(published, candidate, lock, message, *, verdict=None, manifest=None):
    verdict = verdict or Verdict(passed=True, marts_sha256=candidate.marts_sha256, reason="all passed")
    before = published.store.current()
    with pytest.raises(PublishRefused, match=message) as error:
        published.store.promote(candidate, verdict, manifest or published.manifest(candidate), lock)
    assert "current release stands" in str(error.value)
    assert published.store.current() == before
    assert published.answer() == 1
    assert [release.release_id for release in published.store.releases()] == [before.release_id]


def test_a_failing_verdict_is_refused(published):
    published.fill(version=2)
    candidate = published.build()
    with WriterLock(published.path) as lock:
        verdict = Verdict(passed=False, marts_sha256=candidate.marts_sha256, reason="MRR bridge is off by 3")
        refused(published, candidate, lock, "MRR bridge is off by 3", verdict=verdict)


def test_bytes_that_changed_after_the_verdict_are_refused(published):
    published.fill(version=2)
    candidate = published.build()
    candidate.database.chmod(0o644)
    with duckdb.connect(str(candidate.database)) as writer:
        writer.execute("DELETE FROM marts.mart_metric__daily WHERE value = 3")
    with WriterLock(published.path) as lock:
        refused(published, candidate, lock, "the gate judged")


def test_a_stale_or_foreign_lock_is_refused(published, tmp_path):
    published.fill(version=2)
    candidate = published.build()
    with WriterLock(published.path) as lock:
        pass
    refused(published, candidate, lock, "not held")
    with WriterLock(tmp_path / "elsewhere") as lock:
        refused(published, candidate, lock, "the lock is on")
    with WriterLock(published.path) as lock:
        (published.path / "locks" / "writer").unlink()
        with WriterLock(published.path):
            refused(published, candidate, lock, "taken over")


def test_a_take_over_while_the_candidate_is_checked_is_refused(published, monkeypatch):
    published.fill(version=2)
    candidate = published.build()
    with WriterLock(published.path) as lock:

        def slow(_):
            (published.path / "locks" / "fence").write_text("99\n")
            return candidate.marts_sha256

        monkeypatch.setattr(digests, "of_file", slow)
        refused(published, candidate, lock, "the latest is 99")


BREAKING = {
    "removed": (
        "ALTER TABLE marts.mart_metric__daily DROP COLUMN segments",
        r"  mart_metric__daily\.segments \(VARCHAR\[\]\) is gone\n    undo this, or .* a model mart_metric__daily_v1 with",
    ),
    "retyped": (
        "ALTER TABLE marts.mart_metric__daily ALTER value TYPE DOUBLE",
        r"  mart_metric__daily\.value was BIGINT and is DOUBLE\n    undo this, or give the model `meta: {version: 2}`",
    ),
}


@pytest.mark.parametrize(("change", "message"), BREAKING.values(), ids=BREAKING)
def test_a_removed_or_retyped_column_is_refused_until_the_version_is_raised(published, change, message):
    published.fill(version=2)
    with duckdb.connect(str(published.warehouse)) as connection:
        connection.execute(change)
    with WriterLock(published.path) as lock:
        refused(published, published.build(), lock, message)
        refused(published, published.build(versions={"mart_mrr__month": 2}), lock, message)
        release = published.promote(published.build(versions={"mart_metric__daily": 2}), lock)
    assert published.answer() == 2
    assert release.manifest.marts["mart_metric__daily"].version == 2
    told = [entry.detail for entry in release.manifest.schema_changes]
    assert told[0] == "mart_metric__daily is version 2, was 1"
    assert len(told) == 2
    assert Manifest.read(release.path / "manifest.json") == release.manifest


def test_a_version_never_falls(published):
    published.fill(version=2)
    with WriterLock(published.path) as lock:
        published.promote(published.build(versions={"mart_metric__daily": 3}), lock)
        current = published.store.current()
        candidate = published.build(versions={"mart_metric__daily": 2})
        with pytest.raises(PublishRefused, match="mart_metric__daily is version 2, was 3\n    a version never falls"):
            published.promote(candidate, lock)
    assert published.store.current() == current


def test_a_mart_that_is_gone_is_refused_unless_it_is_left_out(published):
    published.fill(version=2)
    candidate = published.build(["mart_metric__daily"])
    with WriterLock(published.path) as lock:
        refused(published, candidate, lock, "  mart_mrr__month is gone\n    bring the model back with a `deprecation_date`")
        published.promote(candidate, lock, left_out={"mart_mrr__month": "it was published until 2026-11-20"})
    assert published.answer() == 2
    assert published.store.current().manifest.schema_changes == ()


def test_two_versions_of_a_mart_are_published_side_by_side_until_the_older_one_goes(published):
    """The old columns under a name of their own, from the night on which the version is raised."""
    published.fill(version=2)
    with duckdb.connect(str(published.warehouse)) as connection:
        connection.execute("CREATE TABLE marts.mart_metric__daily_v1 AS FROM marts.mart_metric__daily")
        connection.execute("ALTER TABLE marts.mart_metric__daily RENAME value TO amount")
    both = ["mart_metric__daily", "mart_metric__daily_v1", "mart_mrr__month"]
    until = {"mart_metric__daily_v1": date(2026, 12, 31)}
    with WriterLock(published.path) as lock:
        release = published.promote(published.build(both, versions={"mart_metric__daily": 2}, published_until=until), lock)
        assert {
            mart: record.published_until for mart, record in release.manifest.marts.items() if record.published_until
        } == until
        assert [change.detail for change in release.manifest.schema_changes] == [
            "mart_metric__daily is version 2, was 1",
            "mart_metric__daily.value (BIGINT) is gone",
            "mart_metric__daily.amount (BIGINT) is new",
            "mart_metric__daily_v1 is new",
        ]
        with duckdb.connect(str(release.database), read_only=True) as reader:
            assert reader.execute(
                "SELECT count(*) FROM mart_metric__daily JOIN mart_metric__daily_v1 v1 ON amount = v1.value"
            ).fetchone() == (50,)
        gone = {"mart_metric__daily_v1": "it was published until 2026-12-31"}
        alone = published.build(MARTS, versions={"mart_metric__daily": 2})
        assert published.promote(alone, lock, left_out=gone).manifest.schema_changes == ()


def test_an_added_column_is_announced(published):
    published.fill(version=2)
    with duckdb.connect(str(published.warehouse)) as connection:
        connection.execute("ALTER TABLE marts.mart_metric__daily ADD COLUMN target DOUBLE")
    with WriterLock(published.path) as lock:
        release = published.promote(published.build(), lock)
    assert release.manifest.schema_changes == (
        SchemaChange("mart_metric__daily.target", "added", "mart_metric__daily.target (DOUBLE) is new"),
    )


def test_a_manifest_of_something_else_is_refused(published):
    published.fill(version=2)
    candidate = published.build()
    manifest = published.manifest(candidate)
    with WriterLock(published.path) as lock:
        for field, value in (
            ("release_id", "20200101T000000Z-000000"),
            ("previous_release_id", None),
            ("data_through", date(2026, 1, 1)),
            ("marts", {}),
            ("marts_sha256", "0" * 64),
            ("gate", dataclasses.replace(manifest.gate, passed=False)),
            ("schema_changes", (SchemaChange("mart_mrr__month", "added", "mart_mrr__month is new"),)),
        ):
            refused(
                published, candidate, lock, field.replace("_c", " c"), manifest=dataclasses.replace(manifest, **{field: value})
            )


def test_recovery_says_what_it_did(published):
    release = published.store.current()
    published.build()
    (published.path / "published" / "current.json").write_text("{")
    with WriterLock(published.path) as lock:
        done = published.store.recover(lock)
        assert done[0] == f"corrected current.json to release {release.release_id}"
        assert done[1].startswith("removed the leftover .candidate-")
        (published.path / "published" / "marts.duckdb").unlink()
        assert published.store.recover(lock) == [f"restored the link to release {release.release_id}"]
        assert published.store.recover(lock) == []
    is_whole(published, {1})
    with pytest.raises(StaleToken):
        published.store.recover(lock)


def test_recovery_of_a_new_home_does_nothing(home):
    with WriterLock(home.path) as lock:
        assert home.store.recover(lock) == []


# Readers


def test_a_new_connection_sees_the_new_release_and_an_open_one_keeps_the_old(published):
    link = published.path / "published" / "marts.duckdb"
    question = "SELECT max(version) FROM marts.mart_metric__daily"
    with duckdb.connect(str(link), read_only=True) as old:
        assert old.execute(question).fetchone() == (1,)
        published.publish(version=2)
        with duckdb.connect(str(link), read_only=True) as new:
            assert new.execute(question).fetchone() == (2,)
        assert old.execute(question).fetchone() == (1,)


# Looking, going back, throwing away


def test_releases_are_listed_newest_first_and_a_rollback_changes_the_current_one(published):
    first = published.store.current()
    second, third = published.publish(version=2), published.publish(version=3)
    assert second.manifest.previous_release_id == first.release_id
    with WriterLock(published.path) as lock:
        back = published.store.rollback(first.release_id, lock)
    assert back.is_current
    assert published.answer() == 1
    assert [(release.release_id, release.is_current) for release in published.store.releases()] == [
        (third.release_id, False),
        (second.release_id, False),
        (first.release_id, True),
    ]
    assert published.publish(version=4).manifest.previous_release_id == first.release_id


def test_a_rollback_refuses_what_is_unknown_current_stale_or_damaged(published):
    old = published.store.current()
    new = published.publish(version=2)
    with WriterLock(published.path) as lock:
        with pytest.raises(UserError, match=f"there is no release .*{new.release_id}"):
            published.store.rollback(new.release_id[:-1] + "z", lock)
        with pytest.raises(UserError, match="current one already"):
            published.store.rollback(new.release_id, lock)
        old.database.chmod(0o644)
        with old.database.open("ab") as file:
            file.write(b"x")
        with pytest.raises(PublishRefused, match="not the file that was published"):
            published.store.rollback(old.release_id, lock)
    with pytest.raises(StaleToken):
        published.store.rollback(old.release_id, lock)
    assert published.answer() == 2


def test_pruning_keeps_the_newest_the_current_one_and_the_one_before_it(published):
    first = published.store.current()
    others = [published.publish(version=version) for version in (2, 3, 4, 5)]
    with WriterLock(published.path) as lock:
        published.store.rollback(others[1].release_id, lock)
        assert published.store.prune(1, lock, months=0) == [others[2].release_id, first.release_id]
        assert published.store.prune(1, lock, months=0) == []
        with pytest.raises(UserError, match="at least 1"):
            published.store.prune(0, lock)
    assert [release.release_id for release in published.store.releases()] == [others[index].release_id for index in (3, 1, 0)]
    with pytest.raises(StaleToken):
        published.store.prune(1, lock)
    is_whole(published, {3})


def test_pruning_keeps_the_first_of_each_month_in_the_zone_of_the_reports(published):
    releases = [published.store.current(), *(published.publish(version=version) for version in (2, 3, 4))]
    # The second was made on the first of November in Shanghai, and on the last of October in Greenwich.
    made = ["2026-10-31T01:00:00Z", "2026-10-31T19:30:00Z", "2026-11-01T19:30:00Z", "2026-11-02T19:30:00Z"]
    for release, instant in zip(releases, made, strict=True):
        record = release.path / "manifest.json"
        text = json.dumps({**json.loads(record.read_text()), "published_at": instant, "previous_release_id": None})
        record.unlink()
        record.write_text(text)
    with WriterLock(published.path) as lock:
        assert published.store.prune(2, lock, months=2, timezone=ZoneInfo("Asia/Shanghai")) == []
        assert published.store.prune(1, lock, months=2, timezone=UTC) == [releases[1].release_id]
        assert published.store.prune(1, lock, months=1, timezone=UTC) == [releases[0].release_id]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count(*) FROM marts.mart_mrr__month",
        "SELECT count(*) FROM mart_mrr__month",
        "WITH x AS (FROM marts.mart_mrr__month) SELECT count(*) FROM x",
        "SELECT marts[1].row_count FROM marts._publication",
    ],
)
def test_query_reads_the_current_release(published, sql):
    assert published.store.query(sql).fetchall() == [(50,)]
    # Also where this process has the file open with another configuration.
    with duckdb.connect(str(published.path / "published" / "marts.duckdb"), read_only=True):
        assert published.store.query(sql).fetchall() == [(50,)]


@pytest.mark.parametrize(
    "sql",
    [
        "COPY (SELECT 1) TO '{file}'",
        "COPY (SELECT 1) TO '{release}' (USE_TMP_FILE false)",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO '{file}'",
        "CREATE TABLE marts.x AS SELECT 1",
        "DELETE FROM marts.mart_mrr__month",
        "ATTACH '{file}'",
        "SET threads = 1",
        "SELECT 1; SELECT 2",
        "",
        "SELECT * FROM read_text('/etc/hostname')",
        "SELECT * FROM '{release}/../parquet/mart_mrr__month.parquet'",
        "SELECT nothing FROM marts.mart_mrr__month",
        "SELEC 1",
    ],
)
def test_query_does_nothing_else(published, tmp_path, sql):
    release = published.store.current()
    file = tmp_path / "out.csv"
    with pytest.raises(UserError, match="query"):
        published.store.query(sql.format(file=file, release=release.database))
    assert not file.exists()
    assert digests.of_file(release.database) == release.manifest.marts_sha256


def test_age_counts_from_publication(published):
    at = published.store.current().manifest.published_at
    assert published.store.age(at + timedelta(hours=30)) == timedelta(hours=30)


def test_without_a_release_the_user_is_told_what_to_run(tmp_path):
    store = ReleaseStore(tmp_path)
    assert store.current() is None
    assert store.releases() == []
    for ask in (
        lambda: store.query("SELECT 1"),
        lambda: store.age(datetime.now(UTC)),
        lambda: store.release("20200101T000000Z-000000"),
    ):
        with pytest.raises(UserError, match="northstar nightly"):
            ask()


def test_a_lost_or_foreign_current_release_is_named(published):
    old = published.store.current()
    new = published.publish(version=2)
    shutil.rmtree(new.path)
    with WriterLock(published.path) as lock:
        with pytest.raises(NorthstarError, match=f"{new.release_id} is gone.*rollback.*{old.release_id}"):
            published.store.recover(lock)
        published.store.rollback(old.release_id, lock)
        assert published.store.recover(lock) == []
    assert published.answer() == 1
    link = published.path / "published" / "marts.duckdb"
    link.unlink()
    link.symlink_to("/elsewhere/marts.duckdb")
    with pytest.raises(NorthstarError, match="no release of this home"):
        published.store.current()
    link.unlink()
    link.write_text("a file")
    with pytest.raises(NorthstarError, match="must be a link"):
        published.store.current()


@pytest.mark.parametrize("text", ["", "{no", "{}", "[]", '{"release_id": 7}', '{"release_id": "../x"}', "\xff"])
def test_a_damaged_intent_is_cleared_away(published, text):
    current = published.store.current()
    intent = published.path / "published" / "promoting.json"
    intent.write_text(text, encoding="latin-1")
    with WriterLock(published.path) as lock:
        assert published.store.recover(lock) == ["removed promoting.json, which could not be read"]
    assert not intent.exists()
    assert published.store.current().release_id == current.release_id
