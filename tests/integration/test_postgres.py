"""PostgreSQL as a second place of releases, on a server of its own: what arrives, who can read it, and what failures leave."""

import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import dagster as dg
import duckdb
import psycopg
import pytest
from pydantic import SecretStr

from orchestration.base.errors import NorthstarError
from orchestration.config.loading import load
from orchestration.defs.publish.assets import build
from orchestration.defs.resources import night
from orchestration.publishing.lock import WriterLock
from orchestration.publishing.release import Release
from orchestration.publishing.targets.postgres import Postgres, PostgresFailed
from tests.conftest import POSTGRES, PROJECT
from tests.integration.conftest import copy_home, dagster_of
from tests.unit.publishing.conftest import MARTS, Home

pytestmark = pytest.mark.postgres

PASSWORD = "p@ss/w:rd 'x\"%\\"  # noqa: S105
KEYS = {"mart_mrr__month": ["month", "segment"], "mart_types__row": ["id"], "mart_gone__day": ["day"]}
COMMENTS = {"mart_mrr__month": ("One row per month; it's \\ “quoted”", {"closing_mrr": "Money, 中文"})}
TYPES = """
create table marts.mart_types__row as
select i as id, i::integer as a, i::smallint as b, (i * 1.005)::double as c, i::float as d, i % 2 = 0 as e,
  (i || '.25')::decimal(18, 2) as f, (i || '.000001')::decimal(18, 6) as g, date '1969-12-31' + i::integer as h,
  timestamp '2026-01-01 00:00:00.123456' + interval (i) second as k,
  case i when 0 then '' when 1 then null when 2 then E'tab\\tline\\n\\\\N "q" \\'' else '中文 😀 ' || i end as l,
  [i, null] as m, {'x': i, 'y': ['a, b', null]} as n, i::hugeint as o, i::ubigint as "Select", null::double as q
from range(100) t(i)
"""


class Server:
    """A PostgreSQL server on a free port of loopback, run by an unprivileged account, with a publisher's role."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        names = ("postgres", "nobody") if os.geteuid() == 0 else ()
        self.account = next((name for name in names if name in {entry.pw_name for entry in pwd.getpwall()}), None)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]

    def start(self) -> None:
        (self.folder / "password").write_text(PASSWORD)
        if self.account:
            shutil.chown(self.folder, self.account)
            shutil.chown(self.folder / "password", self.account)
        login = ("-U", "admin", "--auth=scram-sha-256", f"--pwfile={self.folder / 'password'}")
        self._run("initdb", "-D", self._data, *login, "--no-sync", "--encoding=UTF8", "--locale=C")
        options = f"-c listen_addresses=127.0.0.1 -c port={self.port} -c unix_socket_directories='' -c fsync=off"
        self._run("pg_ctl", "-D", self._data, "-w", "-l", str(self.folder / "log"), "-o", options, "start")
        with self.connect("postgres") as connection:
            connection.execute(psycopg.sql.SQL("create role publisher login createrole password {}").format(PASSWORD))

    def stop(self) -> None:
        self._run("pg_ctl", "-D", self._data, "-w", "-m", "immediate", "stop")

    def url(self, database: str, *, user: str = "admin", password: str = PASSWORD) -> str:
        return f"postgresql://{user}:{quote(password, safe='')}@127.0.0.1:{self.port}/{database}"

    def connect(self, database: str) -> psycopg.Connection:
        return psycopg.connect(self.url(database), autocommit=True)

    def create_database(self, name: str) -> str:
        with self.connect("postgres") as connection:
            connection.execute(f"create database {name} owner publisher")
        return name

    @property
    def _data(self) -> str:
        return str(self.folder / "data")

    def _run(self, program: str, *arguments: str) -> None:
        user = ("runuser", "-u", self.account, "--") if self.account else ()
        # Not captured: the server would hold the pipe open for as long as it runs.
        with (self.folder / "said").open("a") as said:
            subprocess.run(
                [*user, str(POSTGRES / program), *arguments], cwd=self.folder, stdout=said, stderr=said, check=True, timeout=120
            )


class Database:
    """A database, its publisher, and what readers find in it."""

    def __init__(self, server: Server, name: str, scratch: Path, releases: list[Release]) -> None:
        self.server, self.name, self.scratch, self.releases = server, name, scratch, releases
        self.url = server.url(name, user="publisher")

    def publish(self, release: Release, *, keys=KEYS, kept: list[Release] | None = None):
        target = Postgres(SecretStr(self.url), scratch=self.scratch)
        return target.publish(release, keys=keys, kept=[each.release_id for each in kept or self.releases])

    def connect(self) -> psycopg.Connection:
        return self.server.connect(self.name)

    def ask(self, query: str) -> list[tuple]:
        with self.connect() as connection:
            return connection.execute(query).fetchall()

    def schemas(self) -> dict[str, str]:
        """Schema → release by its table, without the number of those that went."""
        with self.connect() as connection:
            names = [name for (name,) in connection.execute("select nspname from pg_namespace where nspname like 'marts%'")]
            return {
                name.rstrip("0123456789"): connection.execute(f'select release_id from "{name}"._publication').fetchone()[0]
                for name in names
            }

    def on(self, tag: str, statements: str) -> None:
        """Let the server run statements after each command of a kind."""
        with self.connect() as connection:
            connection.execute(
                f"create function on_change() returns event_trigger language plpgsql as $$ begin {statements}; end $$"
            )
            connection.execute(
                f"create event trigger changes on ddl_command_end when tag in ('{tag}') execute function on_change()"
            )

    @contextmanager
    def pause(self, tag: str) -> Iterator[threading.Event]:
        """Stop whoever runs such a command at its end; gives an event that is set when somebody has got there."""
        reached, over = threading.Event(), threading.Event()
        with self.connect() as holder:
            holder.execute("select pg_advisory_lock(42)")
            self.on(tag, "perform pg_advisory_lock_shared(42); perform pg_advisory_unlock_shared(42)")

            def look() -> None:
                query = "select count(*) from pg_locks where locktype = 'advisory' and objid = 42 and not granted and database ="
                query += " (select oid from pg_database where datname = current_database())"
                with self.connect() as watcher:
                    while not over.is_set() and watcher.execute(query).fetchone() == (0,):
                        time.sleep(0.01)
                reached.set()

            thread = threading.Thread(target=look)
            thread.start()
            try:
                yield reached
            finally:
                over.set()
                thread.join()
                holder.execute("drop event trigger changes")
                holder.execute("select pg_advisory_unlock(42)")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    # Pytest's own folders are closed to other accounts.
    with tempfile.TemporaryDirectory(prefix="northstar-postgres-") as folder:
        server = Server(Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.stop()


def fill(home: Home, version: int) -> Release:
    home.fill(version)
    with duckdb.connect(str(home.warehouse)) as connection:
        connection.execute(TYPES)
    with WriterLock(home.path) as lock:
        return home.promote(home.build([*MARTS, "mart_types__row"], comments=COMMENTS), lock)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(tmp_path_factory.mktemp("releases"))
    for version in (1, 2, 3):
        fill(home, version)
    return home


@pytest.fixture(scope="module")
def releases(home: Home) -> list[Release]:
    """Three releases, the oldest first, whose `mart_metric__daily` tells their number."""
    return home.store.releases()[::-1]


@pytest.fixture(scope="module")
def loaded(server: Server, tmp_path_factory: pytest.TempPathFactory, releases: list[Release]) -> Database:
    """A database with the first release, for tests that only look at it."""
    database = Database(server, server.create_database("looked_at"), tmp_path_factory.mktemp("scratch"), releases)
    done = database.publish(releases[0])
    assert (done.action, done.rows, done.notes) == ("loaded", 200, ())
    return database


@pytest.fixture(scope="module")
def written_to(server: Server) -> str:
    return server.create_database("written_to")


@pytest.fixture
def database(server: Server, written_to: str, tmp_path: Path, releases: list[Release]) -> Iterator[Database]:
    """An empty database; one for all tests, since each has a thousand files."""
    database = Database(server, written_to, tmp_path, releases)
    yield database
    with database.connect() as connection:
        connection.execute("drop event trigger if exists changes")
        connection.execute("drop function if exists on_change")
        connection.execute("drop view if exists public.theirs")
        for (schema,) in connection.execute("select nspname from pg_namespace where nspname like 'marts%'").fetchall():
            connection.execute(f'drop schema "{schema}" cascade')


VERSION = "select distinct version from marts.mart_metric__daily"


# What arrives


def test_a_release_arrives_row_for_row(loaded, releases):
    for mart, key in (("mart_mrr__month", "month, segment"), ("mart_metric__daily", "value"), ("mart_types__row", "id")):
        with duckdb.connect() as connection:
            connection.execute("set TimeZone = 'UTC'")
            file = releases[0].path / "parquet" / f"{mart}.parquet"
            expected = connection.execute(f"from '{file}' order by {key}").fetchall()
        assert len(expected) in {50, 100}
        assert loaded.ask(f"select * from marts.{mart} order by {key}") == expected
    [(release_id, through, marts)] = loaded.ask("select release_id, data_through, marts from marts._publication")
    assert (release_id, through) == (releases[0].release_id, releases[0].manifest.data_through)
    assert marts == [{"mart": name, "row_count": record.rows} for name, record in releases[0].manifest.marts.items()]


def test_columns_have_the_types_that_a_reader_expects(loaded):
    found = loaded.ask(
        "select attname, format_type(atttypid, atttypmod), attnotnull from pg_attribute"
        " where attrelid = 'marts.mart_types__row'::regclass and attnum > 0 order by attnum"
    )
    assert [(name, type_) for name, type_, _ in found] == [
        *(("id", "bigint"), ("a", "integer"), ("b", "smallint"), ("c", "double precision"), ("d", "real"), ("e", "boolean")),
        *(("f", "numeric(18,2)"), ("g", "numeric(18,6)"), ("h", "date"), ("k", "timestamp without time zone"), ("l", "text")),
        *(("m", "jsonb"), ("n", "jsonb"), ("o", "numeric(38,0)"), ("Select", "numeric(20,0)"), ("q", "double precision")),
    ]
    assert [name for name, _, is_required in found if is_required] == ["id"]


def test_keys_comments_and_statistics_come_along(loaded, releases):
    assert loaded.ask(
        "select conrelid::regclass::text, pg_get_constraintdef(oid) from pg_constraint where contype = 'p'"
        " and connamespace = 'marts'::regnamespace order by 1"
    ) == [("marts.mart_mrr__month", "PRIMARY KEY (month, segment)"), ("marts.mart_types__row", "PRIMARY KEY (id)")]
    table = "'marts.mart_mrr__month'::regclass"
    assert loaded.ask(f"select obj_description({table}), col_description({table}, 3), col_description({table}, 1)") == [
        (COMMENTS["mart_mrr__month"][0], "Money, 中文", None)
    ]
    assert "which release" in loaded.ask("select obj_description('marts._publication'::regclass)")[0][0]
    assert loaded.ask("select reltuples from pg_class where oid = 'marts.mart_types__row'::regclass") == [(100,)]
    assert loaded.ask("select obj_description('marts'::regnamespace)")[0][0].startswith(
        f"Northstar release {releases[0].release_id}, data through 2026-11-20"
    )


def test_a_grain_that_is_none_of_this_release_is_told(database, releases):
    done = database.publish(releases[0], keys={"mart_mrr__month": ["segment"]})
    assert done.notes == ("mart_mrr__month has no primary key, since segment is not the grain of this release",)
    assert database.ask("select count(*) from marts.mart_mrr__month") == [(50,)]


def test_the_reader_reads_and_does_not_write(database, releases):
    for release in releases[:2]:
        database.publish(release)
        with database.connect() as connection:
            connection.execute("set role bi_reader")
            assert connection.execute("select count(*) from marts.mart_types__row").fetchone() == (100,)
            for statement in (
                "delete from marts._publication",
                "insert into marts._publication default values",
                "create table marts.mine (a integer)",
                "drop table marts._publication",
                "alter schema marts rename to mine",
            ):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(statement)
    assert database.ask("select rolcanlogin, rolsuper from pg_roles where rolname = 'bi_reader'") == [(False, False)]


# The exchange


def test_a_reader_neither_waits_nor_is_waited_for(database, releases):
    """One reader is in the midst of a statement of the first release while two more are published."""
    first, second, third = releases
    database.publish(first)
    with database.connect() as reader, database.connect() as other, reader.transaction():
        rows = reader.cursor(name="open")
        rows.execute("select value, version from marts.mart_metric__daily order by value")
        read = rows.fetchmany(10)
        assert database.publish(second).notes == ()
        assert other.execute(VERSION).fetchone() == (2,)
        [note] = database.publish(third).notes
        assert note.startswith("marts_retired_")
        assert "is still being read" in note
        assert other.execute(VERSION).fetchone() == (3,)
        read += rows.fetchall()
        assert read == [(value, 1) for value in range(50)]
        assert database.schemas() == {
            "marts": third.release_id,
            "marts_previous": second.release_id,
            "marts_retired_": first.release_id,
        }
    again = database.publish(third)
    assert (again.action, again.notes) == ("there already", ())
    assert database.schemas() == {"marts": third.release_id, "marts_previous": second.release_id}


def test_the_release_that_is_there_is_not_loaded_again(database, releases):
    database.publish(releases[0])
    tables = "select oid, relfilenode from pg_class where relnamespace = 'marts'::regnamespace order by oid"
    before = database.ask(tables)
    done = database.publish(releases[0])
    assert (done.action, done.rows) == ("there already", 0)
    assert database.ask(tables) == before
    assert database.schemas() == {"marts": releases[0].release_id}


def test_going_back_exchanges_schemas_where_they_are_there_and_loads_where_not(database, releases):
    first, second, third = releases
    database.publish(first)
    oid = "select 'marts.mart_mrr__month'::regclass::oid"
    before = database.ask(oid)
    database.publish(second)
    assert database.publish(first).action == "brought back"
    assert database.ask(oid) == before
    assert database.ask(VERSION) == [(1,)]
    assert database.schemas() == {"marts": first.release_id, "marts_previous": second.release_id}
    assert database.publish(third).action == "loaded"
    assert database.publish(second).action == "loaded"
    assert database.ask(VERSION) == [(2,)]
    assert database.schemas() == {"marts": second.release_id, "marts_previous": third.release_id}


def test_what_was_changed_there_is_not_gone_back_to(database, releases):
    database.publish(releases[0])
    database.publish(releases[1])
    with database.connect() as connection:
        connection.execute("update marts_previous.mart_metric__daily set version = 9 where value = 7")
    with pytest.raises(
        PostgresFailed, match=rf"the rows of marts_previous\.mart_metric__daily are not those of .* {releases[1].release_id}"
    ):
        database.publish(releases[0])
    assert database.ask(VERSION) == [(2,)]


def test_the_previous_release_goes_when_its_files_have_gone(database, releases):
    """Files go early when they hold an erased person; what is left of them here goes too."""
    database.publish(releases[0])
    database.publish(releases[1], kept=releases[1:])
    assert database.schemas() == {"marts": releases[1].release_id}


def test_views_of_others_survive_and_are_told(database, releases):
    database.publish(releases[0])
    with database.connect() as connection:
        connection.execute("create view public.theirs as select count(*) as rows from marts.mart_metric__daily")
    assert database.publish(releases[1]).notes == ()
    [note] = database.publish(releases[2]).notes
    assert "could not be dropped" in note
    assert "view theirs depends on table" in note
    assert database.ask("select * from theirs") == [(50,)]


@pytest.mark.parametrize("schema", ["marts", "marts_next", "marts_previous"])
def test_a_schema_of_somebody_else_is_left_alone(database, releases, schema):
    with database.connect() as connection:
        connection.execute(f"create schema {schema}")
        connection.execute(f"create table {schema}.mine as select 1 as one")
    with pytest.raises(PostgresFailed, match=f"its schema {schema} was not made by Northstar .* is left alone: rename it"):
        database.publish(releases[0])
    assert database.ask(f"select one from {schema}.mine") == [(1,)]


# Failures


@pytest.mark.parametrize("moment", ["ALTER TABLE", "ALTER SCHEMA"])
def test_a_killed_publisher_leaves_what_was_there(database, releases, moment):
    """Killed when one table is loaded and others are not, and when the exchange is not committed yet."""
    database.publish(releases[0])
    script = (
        "import sys; from pathlib import Path; from pydantic import SecretStr\n"
        "from orchestration.publishing.store import ReleaseStore\n"
        "from orchestration.publishing.targets.postgres import Postgres\n"
        "release = ReleaseStore(Path(sys.argv[1])).release(sys.argv[2])\n"
        "Postgres(SecretStr(sys.argv[3]), scratch=Path(sys.argv[4])).publish("
        "release, keys={'mart_mrr__month': ['month', 'segment']}, kept=[release.release_id])"
    )
    home = releases[1].path.parents[2]
    arguments = [str(home), releases[1].release_id, database.url, str(database.scratch)]
    with database.pause(moment) as reached:
        killed = subprocess.Popen([sys.executable, "-c", script, *arguments], cwd=PROJECT)
        assert reached.wait(60)
        assert killed.poll() is None
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert database.ask(VERSION) == [(1,)]
    assert database.ask("select count(*) > 1 from pg_tables where schemaname = 'marts_next'") == [(True,)]
    assert database.ask("select release_id from marts._publication") == [(releases[0].release_id,)]
    _wait_until(lambda: database.ask("select count(*) from pg_locks where locktype = 'advisory'") == [(0,)])
    assert database.publish(releases[1]).action == "loaded"
    assert database.schemas() == {"marts": releases[1].release_id, "marts_previous": releases[0].release_id}


def test_of_two_publishers_one_says_so_and_leaves(database, releases):
    results = []
    with database.pause("ALTER TABLE") as reached:
        first = threading.Thread(target=lambda: results.append(database.publish(releases[0])))
        first.start()
        assert reached.wait(60)
        with pytest.raises(PostgresFailed, match="another process is publishing there, nothing was changed; what it had"):
            database.publish(releases[1])
    first.join()
    assert [done.action for done in results] == ["loaded"]
    assert database.schemas() == {"marts": releases[0].release_id}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("delete from marts_next.mart_mrr__month where month = '2026-01-05'", "marts_next.mart_mrr__month has 49 rows, release"),
        (
            "update marts_next.mart_mrr__month set closing_mrr = 7 where month = '2026-01-05'",
            "the rows of marts_next.mart_mrr__month are",
        ),
    ],
)
def test_rows_that_are_not_those_of_the_release_are_not_exposed(database, releases, change, said):
    database.publish(releases[0])
    database.on("ALTER TABLE", change)
    with pytest.raises(PostgresFailed) as failed:
        database.publish(releases[1])
    assert said in str(failed.value)
    assert str(failed.value).endswith(f"; it still has release {releases[0].release_id}")
    assert database.ask(VERSION) == [(1,)]


def test_a_text_that_postgresql_cannot_hold_is_told(database, tmp_path):
    home = Home(tmp_path / "home")
    home.path.mkdir()
    home.fill()
    with duckdb.connect(str(home.warehouse)) as connection:
        connection.execute("update marts.mart_mrr__month set segment = 'a' || chr(0) where month = '2026-01-01'")
    with WriterLock(home.path) as lock:
        release = home.promote(home.build(), lock)
    for _ in range(2):
        with pytest.raises(PostgresFailed, match=r"mart_mrr__month could not be loaded: .*NULL-byte.*; it has no release yet"):
            database.publish(release)
        # What one attempt left goes with the next, however often it fails.
        assert database.ask("select nspname from pg_namespace where nspname like 'marts%'") == [("marts_next",)]


def test_a_file_that_is_not_the_published_one_is_not_loaded(database, releases, tmp_path):
    copied = Release(releases[0].release_id, tmp_path, releases[0].manifest, is_current=False)
    shutil.copy(releases[0].database, copied.database)
    copied.database.chmod(0o600)
    with duckdb.connect(str(copied.database)) as connection:
        connection.execute("update mart_mrr__month set closing_mrr = 7")
    with pytest.raises(PostgresFailed, match=r"marts\.duckdb is not the file that passed the gate, and is not loaded"):
        database.publish(copied)


def test_rights_that_are_missing_are_named(server, database, releases):
    with server.connect("postgres") as connection:
        connection.execute(psycopg.sql.SQL("create role humble login password {}").format(PASSWORD))
        connection.execute(
            "create role bi_reader_kept" if not _has_reader(connection) else "alter role bi_reader rename to bi_reader_kept"
        )
        database.url = server.url(database.name, user="humble")
        try:
            with pytest.raises(
                PostgresFailed, match="humble may not create it; let an administrator run CREATE ROLE bi_reader NOLOGIN"
            ):
                database.publish(releases[0])
        finally:
            connection.execute("alter role bi_reader_kept rename to bi_reader")
        grant = f'GRANT CREATE ON DATABASE "{database.name}" TO "humble"'
        with pytest.raises(PostgresFailed, match=f"humble may not create schemas; let an administrator run {grant}"):
            database.publish(releases[0])
        connection.execute(grant)
    assert database.publish(releases[0]).action == "loaded"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"password": PASSWORD + "no"}, 'password authentication failed for user "publisher"'),
        ({"port": 1}, "Connection refused"),
        ({"database": "nowhere"}, 'database "nowhere" does not exist'),
        ({"options": "&nonsense=1"}, "the PostgreSQL URL cannot be read"),
        ({"raw": f"postgresql://publisher:{PASSWORD}@127.0.0.1/x"}, "the PostgreSQL URL cannot be read"),
    ],
)
def test_a_failing_connection_is_one_line_without_the_password(server, database, releases, change, said):
    password = change.get("password", PASSWORD)
    url = server.url(change.get("database", database.name), user="publisher", password=password)
    url = change.get("raw", url.replace(f":{server.port}/", f":{change.get('port', server.port)}/")) + "?connect_timeout=3"
    database.url = url + change.get("options", "")
    with pytest.raises(PostgresFailed) as failed:
        database.publish(releases[0])
    text = str(failed.value)
    assert said in text
    assert len(text.splitlines()) == 1
    shown = "".join(traceback.format_exception(failed.value))
    assert not [secret for secret in (password, quote(password, safe=""), "w:rd") if secret in shown]


# As it is used


def test_the_command_line_catches_up_and_goes_back(server, database, home, prepared, northstar, tmp_path):
    place = _with_releases(home, prepared, tmp_path)
    third, second, first = (release.release_id for release in home.store.releases())
    (place / "northstar.toml").write_text(f"[publish]\npostgres_url = {json.dumps(database.url)}\n")
    status = northstar(place, "status")
    assert (
        f"127.0.0.1:{server.port}/{database.name} has no release; `northstar publish` brings it to the current" in status.stdout
    )
    assert status.returncode == 1
    published = northstar(place, "publish")
    assert published.returncode == 0, published.stderr
    assert published.stdout.split()[:3] == ["postgres", "200", "rows"]
    assert f"{third} loaded" in published.stdout
    assert f"/{database.name} has it too" in northstar(place, "status").stdout
    for release_id, action in ((second, "loaded"), (third, "brought back")):
        done = northstar(place, "rollback", release_id)
        assert (done.returncode, done.stderr) == (0, "")
        assert f"PostgreSQL: {release_id} {action}" in done.stdout
        assert database.ask("select release_id from marts._publication") == [(release_id,)]

    (place / "northstar.toml").write_text(f"[publish]\npostgres_url = {json.dumps(database.url.replace(quote('@'), 'A'))}\n")
    failed = northstar(place, "rollback", first)
    assert failed.returncode == 1
    assert f"current is {first}, data through 2026-11-20" in failed.stdout
    assert "password authentication failed" in failed.stderr
    assert failed.stderr.strip().endswith(f"`northstar publish` tries to bring it to release {first} again")
    assert len(failed.stderr.splitlines()) == 1
    _no_password_in(place)


def test_the_stage_of_the_night(database, home, prepared, tmp_path):
    place = _with_releases(home, prepared, tmp_path)
    [asset] = [asset for asset in build({}) if dg.AssetKey(["release", "postgres"]) in asset.keys]

    def run(**environment: str):
        settings = load({"NORTHSTAR_HOME": str(place), **environment}, directory=place)
        with dagster_of(place) as instance:
            done = dg.materialize([asset], instance=instance, resources={"night": night(settings)})
            [event] = done.get_asset_materialization_events()
            return {name: value.value for name, value in event.materialization.metadata.items()}

    assert run() == {"postgres": "not configured"}
    with pytest.raises(NorthstarError, match="tries to bring it to release") as failed:
        run(NORTHSTAR_POSTGRES_URL=database.url.replace(quote("@"), "A"))
    assert "password authentication failed" in str(failed.value)
    found = run(NORTHSTAR_POSTGRES_URL=database.url)
    assert (found["postgres"], found["dagster/row_count"]) == ("loaded", 200)
    assert database.ask("select release_id from marts._publication") == [(found["release"],)]
    _no_password_in(place, but={"northstar.toml"})


def _with_releases(home: Home, prepared: Path, tmp_path: Path) -> Path:
    """A prepared home with the releases of another."""
    place = copy_home(prepared, tmp_path / "home")
    shutil.copytree(home.path / "published", place / "published", symlinks=True)
    return place


def _no_password_in(place: Path, but: frozenset[str] | set[str] = frozenset({"northstar.toml"})) -> None:
    """Neither a log nor Dagster's events nor a manifest: the part of the password that no encoding changes."""
    files = [path for path in place.rglob("*") if path.is_file() and path.name not in but]
    assert any("dagster" in path.parts for path in files)
    assert [path for path in files if b"rd%20%27x" in (found := path.read_bytes()) or b"rd 'x" in found] == []


def _has_reader(connection: psycopg.Connection) -> bool:
    return connection.execute("select count(*) from pg_roles where rolname = 'bi_reader'").fetchone() == (1,)


def _wait_until(is_so, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)
