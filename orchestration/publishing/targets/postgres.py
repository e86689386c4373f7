"""Releases in PostgreSQL: load one beside the other, exchange them atomically, roll back.

Belongs here: everything that happens in the database of `publish.postgres_url`. Does not belong here: files (`release`), types
(`postgres_types`), whether the data is good (a release has passed the gate), when it is published (`night`). Importing it needs
the extra `postgres`.

    marts             the release that readers get
    marts_next        being loaded; the next load first removes what an interrupted one left
    marts_previous    the previous release, for a rollback
    marts_retired_N   a replaced release that could not be dropped yet because it is being read

The comment of each schema names its release. A schema of one of these names without such a comment is foreign and never
touched.
"""

import importlib.resources
import re
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import duckdb
import duckdb_extension_postgres
import psycopg
from psycopg import errors, sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from pydantic import SecretStr

from orchestration.base import digests, duck
from orchestration.base.errors import NorthstarError
from orchestration.base.sql import identifier, literal
from orchestration.publishing.manifest import Column, read_columns
from orchestration.publishing.release import Release
from orchestration.publishing.targets.postgres_types import as_published, column_type, is_nested

MARTS, NEXT, PREVIOUS = "marts", "marts_next", "marts_previous"
READER = "bi_reader"
_RETIRED = "marts_retired_"
_LOCK = int.from_bytes(b"northsta")  # number of the advisory lock that allows one publisher per database
_CONNECT_SECONDS = "10"
# How long a drop waits for readers of a replaced release; new readers of it wait for the drop meanwhile.
_DROP_WAIT = "2s"
# SQLSTATE classes of a connection that broke and of a server that went down.
_LOST = {"08", "57"}
_MARK = re.compile(r"Northstar release (\S+), ")
_Connection = psycopg.Connection[tuple[object, ...]]
Tables = Mapping[str, Sequence[Column]]


class PostgresFailed(NorthstarError):  # noqa: N818 - says what happened
    """A release did not reach PostgreSQL; the message names the release that it still serves."""


@dataclass(frozen=True)
class Published:
    """Result of a publication. action: loaded, brought back or there already; notes: matters that need attention."""

    release_id: str
    action: str
    rows: int = 0
    notes: tuple[str, ...] = ()


class Postgres:
    """The marts of one PostgreSQL database. No message, and no error behind one, holds the password of the URL.

    scratch: folder for what DuckDB spills. memory_limit as DuckDB writes it, `8GB`.
    Raises `PostgresFailed` when the URL is none.
    """

    def __init__(self, url: SecretStr, *, scratch: Path, memory_limit: str | None = None) -> None:
        try:
            options = {key: str(value) for key, value in conninfo_to_dict(url.get_secret_value()).items() if value is not None}
        except psycopg.Error:
            # libpq's messages quote parts of the URL, including a password with an unescaped @ or /.
            raise PostgresFailed(
                "the PostgreSQL URL cannot be read; write postgresql://user:password@host:5432/database, and special characters"
                " of the password as %40 (@), %2F (/), %3A (:), …"
            ) from None
        self._password = options.pop("password", "")
        options.setdefault("connect_timeout", _CONNECT_SECONDS)
        options.setdefault("application_name", "northstar")
        self._conninfo = make_conninfo(**options)
        host = options.get("host") or options.get("hostaddr") or "the local socket"
        self.place = f"PostgreSQL {host}:{options.get('port') or 5432}/{options.get('dbname') or options.get('user') or ''}"
        self._scratch = scratch
        self._memory_limit = memory_limit

    def __repr__(self) -> str:
        return f"Postgres({self.place!r})"

    def published(self) -> str | None:
        """Id of the release served to readers; None before the first one."""
        try:
            with self._connected() as connection:
                return _held(connection).get(MARTS)
        except (psycopg.Error, NorthstarError) as error:
            raise PostgresFailed(f"{self.place}: {self._said(error)}") from None

    def publish(self, release: Release, *, keys: Mapping[str, Sequence[str]], kept: Collection[str]) -> Published:
        """Give readers a release: load it, or exchange schemas where `marts_previous` holds it, or do nothing where `marts` does.

        keys: mart → its grain, which becomes its primary key; it may name marts that the release lacks. kept: ids of the
        releases that are on disk; the previous one is dropped unless it is among them, so that erased persons are removed here
        too. Readers are not waited for. Until the last statement they get the release that they got before, and so they do when
        `PostgresFailed` is raised or the process is killed.
        """
        stands = "what it had before stands there"
        connection: _Connection | None = None
        try:
            with self._connected() as connection, _exclusive(connection):
                held = _held(connection)
                stands = f"it still has release {held[MARTS]}" if MARTS in held else "it has no release yet"
                _retire(connection, NEXT)
                left = self._sweep(connection, kept)
                if held.get(MARTS) == release.release_id:
                    return Published(release.release_id, "there already", notes=left)
                if digests.of_file(release.database) != release.manifest.marts_sha256:
                    raise NorthstarError(f"{release.database} is not the file that passed the gate, and is not loaded")
                _require_reader(connection)
                is_back = held.get(PREVIOUS) == release.release_id
                source, notes = PREVIOUS if is_back else NEXT, list[str]()
                if not is_back:
                    _create(connection, release)
                with self._attached(release, source) as duck:
                    tables = _tables(duck)
                    if not is_back:
                        notes += _load(connection, duck, tables, keys)
                    _exchange(connection, duck, source, tables, release)
                stands = f"it has release {release.release_id} all the same"
                rows = sum(record.rows for record in release.manifest.marts.values())
                notes += self._sweep(connection, kept)
                return Published(release.release_id, "brought back" if is_back else "loaded", rows, tuple(notes))
        except (psycopg.Error, duckdb.Error, NorthstarError) as error:
            if connection is not None and isinstance(error, psycopg.Error) and (error.sqlstate or "08")[:2] in _LOST:
                # The connection may have been lost during the commit.
                stands = "`northstar status` says which release it has"
            raise PostgresFailed(f"{self.place}: {self._said(error)}; {stands}") from None

    @contextmanager
    def _connected(self) -> Iterator[_Connection]:
        with psycopg.connect(self._conninfo, password=self._password or None, autocommit=True) as connection:
            # The exchange waits for its own verification with a transaction open.
            connection.execute("SET idle_in_transaction_session_timeout = 0")
            yield connection

    @contextmanager
    def _attached(self, release: Release, schema: str) -> Iterator[duckdb.DuckDBPyConnection]:
        """DuckDB with the release's file as `release` and one schema of the database as `target.<schema>`."""
        package = importlib.resources.files(duckdb_extension_postgres)
        with tempfile.TemporaryDirectory(prefix="northstar-") as folder:
            # By its file's name DuckDB knows where an extension begins, and the package has the other of its two names. A link
            # spares the second that INSTALL takes.
            extension = Path(folder) / "postgres_scanner.duckdb_extension"
            extension.symlink_to(str(package / "extensions" / f"v{duckdb.__version__}" / "postgres.duckdb_extension"))
            config: dict[str, str | bool | int | float | list[str]] = {
                "allow_persistent_secrets": False,
                "autoinstall_known_extensions": False,
            }
            with closing(
                duck.connect(memory_limit=self._memory_limit, temp_directory=self._scratch, config=config)
            ) as connection:
                connection.execute(f"LOAD {literal(str(extension))}")
                connection.execute(f"ATTACH {literal(str(release.database))} AS release (READ_ONLY)")
                options = f"TYPE postgres, SCHEMA {literal(schema)}"
                # DuckDB's errors quote the text that it attaches: the password comes by a secret. There is one without a
                # password, too: with none, DuckDB asks the storages of persistent secrets, which are closed.
                password = f", PASSWORD {literal(self._password)}" if self._password else ""
                connection.execute(f"CREATE TEMPORARY SECRET login (TYPE postgres{password})")
                options += ", SECRET login"
                connection.execute(f"ATTACH {literal(self._conninfo)} AS target ({options})")
                yield connection

    def _sweep(self, connection: _Connection, kept: Collection[str]) -> tuple[str, ...]:
        """Drop what has gone, as far as nobody reads it or depends on it; says in words what is left, and why."""
        if _held(connection).get(PREVIOUS) not in {None, *kept}:
            _retire(connection, PREVIOUS)
        notes = []
        for schema in _held(connection):
            if schema.startswith(_RETIRED):
                try:
                    with connection.transaction():
                        connection.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(_DROP_WAIT)))
                        # Without CASCADE, which would take views of others along.
                        if tables := _table_names(connection, schema):
                            connection.execute(sql.SQL("DROP TABLE {}").format(sql.SQL(", ").join(tables)))
                        connection.execute(sql.SQL("DROP SCHEMA {}").format(sql.Identifier(schema)))
                except errors.LockNotAvailable:
                    notes.append(f"{schema} is still being read; the next publication drops it")
                except errors.DatabaseError as error:
                    notes.append(f"{schema} could not be dropped: {self._said(error)}")
        return tuple(notes)

    def _said(self, error: Exception) -> str:
        """An error's message, in one line and without the password."""
        text = str(error)
        if isinstance(error, psycopg.Error) and error.diag.message_primary:
            text = ": ".join(part for part in (error.diag.message_primary, error.diag.message_detail) if part)
        text = " ".join(text.split())
        for secret in {self._password, quote(self._password, safe="")} - {""}:
            text = text.replace(secret, "***")
        return text


def _held(connection: _Connection) -> dict[str, str]:
    """Schema → the release in it, for the schemas of this module. Raises `NorthstarError` for a foreign one."""
    rows = connection.execute(
        "SELECT nspname, obj_description(oid, 'pg_namespace') FROM pg_namespace"
        " WHERE nspname = ANY(%s) OR starts_with(nspname, %s) ORDER BY oid",
        [[MARTS, NEXT, PREVIOUS], _RETIRED],
    ).fetchall()
    held = {}
    for schema, comment in rows:
        if mark := _MARK.match(str(comment)):
            held[str(schema)] = mark[1]
        elif not str(schema).startswith(_RETIRED):
            raise NorthstarError(
                f"its schema {schema} was not made by Northstar (its comment names no release) and is left alone: rename it, or"
                " publish to another database"
            )
    return held


@contextmanager
def _exclusive(connection: _Connection) -> Iterator[None]:
    """Keep other publishers out of the database; the lock ends with the connection, which an exchange needs anyway."""
    if not _value(connection, sql.SQL("SELECT pg_try_advisory_lock({})").format(sql.Literal(_LOCK))):
        raise NorthstarError("another process is publishing there, nothing was changed")
    try:
        yield
    finally:
        with suppress(psycopg.Error):
            connection.execute(sql.SQL("SELECT pg_advisory_unlock({})").format(sql.Literal(_LOCK)))


def _require_reader(connection: _Connection) -> None:
    if _value(connection, sql.SQL("SELECT count(*) FROM pg_roles WHERE rolname = {}").format(sql.Literal(READER))):
        return
    try:
        # Roles are shared by all databases of a server: another database's publisher may just have created it.
        with suppress(errors.DuplicateObject, errors.UniqueViolation):
            connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(READER)))
    except errors.InsufficientPrivilege:
        raise NorthstarError(
            f"there is no role {READER}, and {connection.info.user} may not create it; let an administrator run"
            f" CREATE ROLE {READER} NOLOGIN"
        ) from None


def _retire(connection: _Connection, schema: str) -> None:
    """Rename a schema, if it exists, to a retired name. Renaming does not wait for readers."""
    oid = _value(connection, sql.SQL("SELECT oid FROM pg_namespace WHERE nspname = {}").format(sql.Literal(schema)))
    if oid is not None:
        _rename(connection, schema, f"{_RETIRED}{oid}")


def _rename(connection: _Connection, old: str, new: str) -> None:
    connection.execute(sql.SQL("ALTER SCHEMA {} RENAME TO {}").format(sql.Identifier(old), sql.Identifier(new)))


def _create(connection: _Connection, release: Release) -> None:
    """Create `marts_next`, marked as ours in the same transaction."""
    mark = f"Northstar release {release.release_id}, data through {release.manifest.data_through}"
    with connection.transaction():
        try:
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(NEXT)))
        except errors.InsufficientPrivilege:
            database, user = identifier(connection.info.dbname), identifier(connection.info.user)
            raise NorthstarError(
                f"{connection.info.user} may not create schemas; let an administrator run GRANT CREATE ON DATABASE {database}"
                f" TO {user}"
            ) from None
        connection.execute(sql.SQL("COMMENT ON SCHEMA {} IS {}").format(sql.Identifier(NEXT), sql.Literal(mark)))


def _tables(duck: duckdb.DuckDBPyConnection) -> dict[str, tuple[Column, ...]]:
    """Tables of the release's file with their columns."""
    names = duck.execute("SELECT table_name FROM duckdb_tables() WHERE database_name = 'release' ORDER BY table_name").fetchall()
    return {name: read_columns(duck, f"release.{identifier(name)}") for (name,) in names}


def _load(
    connection: _Connection, duck: duckdb.DuckDBPyConnection, tables: Tables, keys: Mapping[str, Sequence[str]]
) -> list[str]:
    """Copy the release into `marts_next`, table by table, with primary keys, comments and statistics; returns notes, in words."""
    for table, columns in tables.items():
        types = sql.SQL(", ").join(
            sql.SQL("{} {}").format(sql.Identifier(column.name), sql.SQL(column_type(table, column))) for column in columns
        )
        connection.execute(sql.SQL("CREATE TABLE {} ({})").format(sql.Identifier(NEXT, table), types))
    notes = []
    for table, columns in tables.items():
        name = sql.Identifier(NEXT, table)
        cells = ", ".join(
            f"to_json({identifier(column.name)})" if is_nested(column) else identifier(column.name) for column in columns
        )
        try:
            duck.execute(f"INSERT INTO target.{NEXT}.{identifier(table)} SELECT {cells} FROM release.{identifier(table)}")
        except duckdb.Error as error:
            raise NorthstarError(f"{table} could not be loaded: {error}") from None
        key = keys.get(table, ())
        if key and {*key} <= {column.name for column in columns}:
            identifiers = sql.SQL(", ").join(map(sql.Identifier, key))
            try:
                connection.execute(sql.SQL("ALTER TABLE {} ADD PRIMARY KEY ({})").format(name, identifiers))
            except (errors.UniqueViolation, errors.NotNullViolation):
                # Of a release whose grain was another one, when an older one is gone back to.
                notes.append(f"{table} has no primary key, since {', '.join(key)} is not the grain of this release")
        _comment(connection, duck, table)
        connection.execute(sql.SQL("ANALYZE {}").format(name))
    return notes


def _comment(connection: _Connection, duck: duckdb.DuckDBPyConnection, table: str) -> None:
    # Not bound: DuckDB imports pandas to look at parameters.
    where = f"WHERE database_name = 'release' AND table_name = {literal(table)}"
    of_table = duck.execute(f"SELECT comment FROM duckdb_tables() {where}").fetchall()
    of_columns = duck.execute(f"SELECT column_name, comment FROM duckdb_columns() {where}").fetchall()
    comments = [(sql.SQL("TABLE"), sql.Identifier(NEXT, table), text) for (text,) in of_table]
    comments += [(sql.SQL("COLUMN"), sql.Identifier(NEXT, table, column), text) for column, text in of_columns]
    with connection.transaction(), connection.pipeline():
        for kind, name, text in comments:
            if text is not None:
                connection.execute(sql.SQL("COMMENT ON {} {} IS {}").format(kind, name, sql.Literal(text)))


def _exchange(connection: _Connection, duck: duckdb.DuckDBPyConnection, source: str, tables: Tables, release: Release) -> None:
    """Compare a schema with the release, row for row, and make it `marts`, all in one transaction.

    From the comparison to the commit nobody can write to it, not even a publisher that has lost its lock and does not know it.
    """
    with connection.transaction():
        locked = sql.SQL(", ").join(sql.Identifier(source, table) for table in tables)
        connection.execute(sql.SQL("LOCK TABLE {} IN SHARE MODE").format(locked))
        _compare(duck, source, tables, release)
        for grant in ("GRANT USAGE ON SCHEMA {} TO {}", "GRANT SELECT ON ALL TABLES IN SCHEMA {} TO {}"):
            connection.execute(sql.SQL(grant).format(sql.Identifier(source), sql.Identifier(READER)))
        if source == PREVIOUS:
            _rename(connection, PREVIOUS, NEXT)
        else:
            _retire(connection, PREVIOUS)
        if MARTS in _held(connection):
            _rename(connection, MARTS, PREVIOUS)
        _rename(connection, NEXT, MARTS)


def _compare(duck: duckdb.DuckDBPyConnection, schema: str, tables: Tables, release: Release) -> None:
    """Raise `NorthstarError` naming the first table of a schema whose rows are not those of the release.

    Rows are counted and their hashes summed, on both sides by this very DuckDB: a million rows of 13 columns in the time that
    it takes to read them back. The digests of the manifest, text and MD5, would take five times as long.
    """
    for table, columns in tables.items():
        names = ", ".join(identifier(column.name) for column in columns)
        sums = f"SELECT count(*), sum(hash({names})::HUGEINT) FROM "
        cells = ", ".join(as_published(column) for column in columns)
        [(expected, digest)] = duck.execute(f"{sums} release.{identifier(table)}").fetchall()
        [(rows, loaded)] = duck.execute(f"{sums} (SELECT {cells} FROM target.{schema}.{identifier(table)})").fetchall()
        if rows != expected:
            raise NorthstarError(f"{schema}.{table} has {rows:,} rows, release {release.release_id} has {expected:,}")
        if loaded != digest:
            raise NorthstarError(f"the rows of {schema}.{table} are not those of release {release.release_id}")


def _table_names(connection: _Connection, schema: str) -> list[sql.Identifier]:
    rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", [schema]).fetchall()
    return [sql.Identifier(schema, str(table)) for (table,) in rows]


def _value(connection: _Connection, query: sql.Composed) -> object:
    row = connection.execute(query).fetchone()
    return None if row is None else row[0]
