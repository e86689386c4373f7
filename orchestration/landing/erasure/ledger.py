"""The ledger of erased ids, and its application to judged rows.

Belongs here: the ledger's file, linking ids to persons, and masking the table `judged`. Does not belong here: which
partitions are rewritten (`rewriting`), or the SQL over single columns and texts (`columns`, `rows`).
"""

import json
import logging
from collections.abc import Callable, Collection, Iterable
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from orchestration.base.counts import counted
from orchestration.base.durable import replace_text, sync_path
from orchestration.base.errors import NorthstarError
from orchestration.base.pseudonyms import Key, digest_sql, pseudonym_sql
from orchestration.base.sql import literal
from orchestration.landing.erasure.columns import columns_of, erasures_of, other_id, owner_of
from orchestration.landing.erasure.rows import count, erase_mentions, find_ids, naming, words_in
from orchestration.landing.source import Personal, Source

if TYPE_CHECKING:
    import duckdb

_logger = logging.getLogger("northstar.night")
_SCHEMA_VERSION = 1
_ERASED_ROW = '{"erased": true}'


@dataclass(frozen=True)
class Entry:
    """One erased id.

    kind: user, anonymous or contact. digest: HMAC of the id. token: replaces the person's ids.
    Times are ISO 8601, UTC; applied_at is None while earlier rows may still hold the id.
    published: the person's pseudonyms in releases that still exist.
    folded: HMAC of the id in lower case, to search texts; None in entries of older ledgers.
    """

    kind: str
    digest: str
    token: str
    requested_at: str
    applied_at: str | None = None
    published: tuple[str, ...] = ()
    folded: str | None = None

    @property
    def in_texts(self) -> set[str]:
        """Digests by which the id is found in a text."""
        return {self.digest, self.folded or self.digest}


@dataclass(frozen=True)
class Erased:
    """Number of erased persons, rewritten partitions of lake and quarantine, and changed rows.

    persons: only those with a row in the lake. unknown: requests whose id is not the user id of any row; misnamed: those among
    them whose id is that of a device or an account.
    """

    persons: int = 0
    partitions: int = 0
    rows: int = 0
    unknown: int = 0
    misnamed: int = 0

    def __str__(self) -> str:
        text = f"{counted(self.persons, 'person')}, {counted(self.partitions, 'partition')} rewritten"
        return f"{text}, {counted(self.unknown, 'request')} of nobody known" if self.unknown else text

    @property
    def warning(self) -> str | None:
        """Warning about requests for unknown users, without their ids; None if there are none."""
        if not self.unknown:
            return None
        verb = "names" if self.unknown == 1 else "name"
        text = (
            f"{counted(self.unknown, 'request')} for erasure {verb} a user_id that no row has; each stays in force for later rows"
        )
        if self.misnamed:
            text += (
                f". The id of {self.misnamed:,} of them is that of a device or an account, whose rows are kept: "
                "request the erasure of its user_id instead"
            )
        return text


@dataclass(frozen=True)
class _State:
    entries: tuple[Entry, ...] = ()
    unpublished: Erased = field(default_factory=Erased)


class Ledger:
    """The ledger of one home, for a single writer.

    key: returns the key of the home; called on first use, since a home without erasures needs none.
    denied: placeholder ids in lower case. max_links: a device with more users belongs to nobody.
    """

    def __init__(self, home: Path, key: Callable[[], Key], *, denied: Collection[str], max_links: int) -> None:
        self.path = home / "erasures" / "ledger.json"
        self.denied, self.max_links = tuple(denied), max_links
        self._get_key = key

    @cached_property
    def _key(self) -> Key:
        return self._get_key()

    @cached_property
    def _state(self) -> _State:
        try:
            fields = json.loads(self.path.read_text(encoding="utf-8"))
            if fields["schema_version"] != _SCHEMA_VERSION:
                raise ValueError(f"schema_version {fields['schema_version']!r}")
            fingerprint = fields["key"]
            entries = tuple(Entry(**entry | {"published": tuple(entry["published"])}) for entry in fields["entries"])
            state = _State(entries, Erased(**fields["unpublished"]))
        except FileNotFoundError:
            return _State()
        except (ValueError, KeyError, TypeError) as error:
            raise NorthstarError(
                f"{self.path} is not a ledger of erasures ({error}); restore it: without it, what was erased comes back"
            ) from None
        if fingerprint != self._key.fingerprint:
            raise NorthstarError(
                f"{self.path} was written with pseudonym key {fingerprint}, and the key now is {self._key.fingerprint}: "
                "erasures cannot stay in force under another key; restore the former one"
            )
        return state

    def __bool__(self) -> bool:
        return bool(self._state.entries)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All entries, oldest first."""
        return self._state.entries

    @property
    def pending(self) -> list[Entry]:
        """Entries not yet removed from all rows of the lake."""
        return [entry for entry in self.entries if entry.applied_at is None]

    @property
    def unpublished(self) -> Erased:
        """Entries added since the last release."""
        return self._state.unpublished

    @property
    def published_pseudonyms(self) -> set[str]:
        """Pseudonyms of erased persons that kept releases may still hold."""
        return {pseudonym for entry in self.entries if entry.applied_at for pseudonym in entry.published}

    def mark_applied(self, erased: Erased) -> None:
        """Record that the pending ids are removed from the lake and the build file."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        entries = tuple(replace(entry, applied_at=entry.applied_at or now) for entry in self.entries)
        before = self.unpublished
        total = Erased(**{name: getattr(before, name) + getattr(erased, name) for name in asdict(before)})
        self._save(_State(entries, total))

    def mark_published(self) -> None:
        """Record that a release without the erased persons exists and that older ones are deleted."""
        if self.published_pseudonyms or self.unpublished != Erased():
            self._save(_State(tuple(replace(entry, published=()) if entry.applied_at else entry for entry in self.entries)))

    def add(self, entries: Iterable[Entry]) -> bool:
        """Add the entries with new ids; return whether there were any."""
        known = {(entry.kind, entry.digest) for entry in self.entries}
        if new := [entry for entry in entries if (entry.kind, entry.digest) not in known]:
            self._save(replace(self._state, entries=(*self.entries, *new)))
        return bool(new)

    def _save(self, state: _State) -> None:
        fields = {"schema_version": _SCHEMA_VERSION, "key": self._key.fingerprint, **asdict(state)}
        if not self.path.parent.exists():
            self.path.parent.mkdir(parents=True)
            sync_path(self.path.parent.parent)
        replace_text(self.path, json.dumps(fields, indent=1) + "\n")
        self._state = state

    # On a connection

    def bind(self, connection: "duckdb.DuckDBPyConnection") -> None:
        """Give a connection the key, the table `erased` (kind, digest, token, requested_at) and `erased_in_texts` (digest)."""
        self._key.bind(connection)
        connection.execute("CREATE OR REPLACE TABLE erased (kind VARCHAR, digest VARCHAR, token VARCHAR, requested_at VARCHAR)")
        columns = [[getattr(entry, name) for entry in self.entries] for name in ("kind", "digest", "token", "requested_at")]
        connection.execute("INSERT INTO erased SELECT unnest(?), unnest(?), unnest(?), unnest(?)", columns)
        digests = sorted(digest for entry in self.entries for digest in entry.in_texts)
        connection.execute("CREATE OR REPLACE TABLE erased_in_texts AS SELECT DISTINCT unnest(?::VARCHAR[]) AS digest", [digests])

    def is_named(self, connection: "duckdb.DuckDBPyConnection", texts: str) -> bool:
        """Whether the column `text` of a relation (SQL) contains an erased id that kept releases may still hold."""
        digests = [digest for entry in self.entries if entry.applied_at and entry.published for digest in sorted(entry.in_texts)]
        if not digests:
            return False
        self._key.bind(connection)
        found = connection.execute(
            f"""
            WITH texts AS MATERIALIZED (SELECT DISTINCT text FROM ({texts}) WHERE text IS NOT NULL),
            words AS MATERIALIZED (SELECT DISTINCT word FROM ({words_in("texts", "text")}) WHERE word <> '')
            SELECT 1 FROM words WHERE {digest_sql("ledger", "word")} IN (SELECT unnest(?::VARCHAR[])) LIMIT 1
            """,
            [digests],
        )
        return found.fetchone() is not None

    def take_requests(self, connection: "duckdb.DuckDBPyConnection") -> None:
        """Add the users of the accepted requests in `judged`; placeholder ids are skipped with a warning."""
        self._key.bind(connection)
        denied = f"lower(trim(user_id)) IN ({', '.join(map(literal, ('', *self.denied)))})"
        if ignored := count(connection, f"SELECT count(*) FROM judged WHERE reasons IS NULL AND {denied}"):
            _logger.warning(
                "erasures: %s requests name an id of identity_deny_list, which stands for nobody; they erase nothing", ignored
            )
        found = connection.execute(f"""
            SELECT {digest_sql("ledger", "user_id")}, 'erased_' || left({digest_sql("erased", "user_id")}, 32),
              min(strftime(requested_at, '%Y-%m-%dT%H:%M:%S+00:00')), {pseudonym_sql("person", "'u:' || user_id")},
              {pseudonym_sql("user", "user_id")}, {digest_sql("ledger", "lower(user_id)")}
            FROM judged WHERE reasons IS NULL AND NOT {denied} GROUP BY user_id ORDER BY ALL
        """).fetchall()
        self.add(
            Entry("user", digest, token, at, published=(person, user), folded=folded)
            for digest, token, at, person, user, folded in found
        )

    def take_links(self, connection: "duckdb.DuckDBPyConnection", source: Source, rows: str, everything: str) -> None:
        """Add the devices and contacts that occur together with an erased user in `rows`.

        everything: relation with all rows, `rows` included, that shows who else uses a device. Both are SQL.
        """
        other = other_id(source)
        if other is None:
            return
        kind, column = other
        denied = ", ".join(map(literal, self.denied)) or "''"
        connection.execute(f"""
            CREATE OR REPLACE TABLE linked AS
            WITH users AS MATERIALIZED (SELECT DISTINCT user_id FROM ({rows}) WHERE {column} IS NOT NULL),
            persons AS MATERIALIZED (
              SELECT user_id, token, requested_at FROM users
              INNER JOIN erased ON erased.kind = 'user' AND erased.digest = {digest_sql("ledger", "users.user_id")}
            ),
            others AS (
              SELECT {column} AS id, min(token) AS token, min(requested_at) AS requested_at
              FROM ({rows}) INNER JOIN persons USING (user_id)
              WHERE lower(trim({column})) NOT IN ({denied})
              GROUP BY ALL
            ),
            hashed AS MATERIALIZED (SELECT *, {digest_sql("ledger", "id")} AS digest FROM others)
            SELECT * FROM hashed WHERE digest NOT IN (SELECT digest FROM erased WHERE kind = '{kind}')
        """)
        if not count(connection, "SELECT count(*) FROM linked"):
            return
        found = connection.execute(f"""
            WITH common AS (
              SELECT {column} AS id FROM ({everything}) WHERE {column} IN (SELECT id FROM linked)
              GROUP BY ALL HAVING count(DISTINCT user_id) > {self.max_links}
            )
            SELECT digest, token, requested_at, {pseudonym_sql("person", "'a:' || id")}, {digest_sql("ledger", "lower(id)")}
            FROM linked WHERE id NOT IN (FROM common) ORDER BY ALL
        """).fetchall()
        # No person is called after a contact.
        published = kind == "anonymous"
        if self.add(
            Entry(kind, digest, token, at, published=(name,) if published else (), folded=folded)
            for digest, token, at, name, folded in found
        ):
            self.bind(connection)

    def mask(self, connection: "duckdb.DuckDBPyConnection", source: Source) -> int:
        """Remove erased persons from the table `judged`; return the number of changed rows. Idempotent."""
        changed = 0
        if find_ids(connection, source, "judged"):
            if owner := owner_of(source):
                changed += count(
                    connection,
                    f"UPDATE judged SET {', '.join(erasures_of(source))} "
                    f"FROM (SELECT judged.rowid AS place, {owner[0]} AS token FROM judged {owner[1]}) AS owned "
                    "WHERE owned.place = judged.rowid AND owned.token IS NOT NULL",
                )
            for column in columns_of(source, Personal.MENTION):
                changed += count(
                    connection,
                    f"UPDATE judged SET {column} = token FROM found WHERE found.kind = 'user' AND found.id = judged.{column}",
                )
        changed += erase_mentions(connection, source)
        refused = naming("SELECT rowid AS place, raw::JSON AS refused FROM judged WHERE raw IS NOT NULL")
        changed += count(connection, f"UPDATE judged SET raw = {literal(_ERASED_ROW)} WHERE rowid IN ({refused})")
        return changed
