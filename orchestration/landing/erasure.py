"""Erasure: who asked to be forgotten, and what is left of their rows.

Belongs here: the ledger of erased ids, which ids are one person's, and the SQL that takes a person out of rows on their way into
the lake or already there. Does not belong here: which columns are personal (`contract`), the layout of the lake (`lake`), and
what becomes of the build file and of releases (`night`, `publishing`).

    <home>/erasures/ledger.json   per erased id its kind, a keyed digest, and the person's token; no id

The ledger is in force for good: whatever lands, late or again, loses the same fields in the same way, so that a backfill gives
the bytes that the lake holds. A person's rows stay, under one token that nobody can turn back, for the amounts and counts that
they are part of. A row is a person's when its user is, or when it has no user and its device or contact is one of the person's: a
device that was seen with the person, unless it is denied (`null`, …) or belongs to too many users to be anybody's. A device that
two users share stays in the rows of the other one. A text of anybody's row (a page, a comment, `properties`, `utm_*`) in which an
erased id stands as a segment, value, address or word goes too, in any case of its letters and with escapes resolved.

An entry is pending until everything that lay in the lake before it is rewritten. New ids are in the ledger, on the disk, before
any row loses them: a run that is killed in between is finished by the next one, by their digests.
"""

import json
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from orchestration.durable import replace_text, sync_path
from orchestration.errors import NorthstarError
from orchestration.landing.contract import CONTRACT, Column, Personal, Source, Type
from orchestration.landing.lake import Lake, Partition, scan
from orchestration.pseudonyms import Key, digest_sql, pseudonym_sql
from orchestration.sql import exact, identifier, literal

if TYPE_CHECKING:
    import duckdb

_logger = logging.getLogger("northstar.night")

REQUESTS = "erasures"
_SCHEMA_VERSION = 1
_KINDS = {Personal.USER: "user", Personal.ANONYMOUS: "anonymous", Personal.CONTACT: "contact"}
_ERASED_ROW = '{"erased": true}'
# Bytes of Parquet rewritten at once, some ten times as many once they are read.
_BATCH_BYTES = 32 * 2**20
# What stands between the cells of a refused row, and what else may stand around an id within a cell.
_AROUND_CELLS = r"""[\s"',;|{}\[\]]+"""
_AROUND_WORDS = r"[^\p{L}\p{N}_-]+"
_NO_WORD_AT_ENDS = r"^[^\p{L}\p{N}]+|[^\p{L}\p{N}]+$"
_ADDRESS = r"[\p{L}\p{N}._%+-]+@[\p{L}\p{N}.-]*[\p{L}\p{N}]"
# What stands around a segment of a path, or a name or value of a query or JSON document.
_AROUND_SEGMENTS = r"""[/?&=#;,\s"'{}\[\]]+"""
# Shorter ids count as named only where they stand alone as a segment, name or value, for many words of a text are as short.
_SHORTEST_WORD = 5
_HOST = r"(?i)^((?:[a-z][a-z0-9+.-]*:)?//)(?:[^/?#@]*@)?([^/?#]+)"


@dataclass(frozen=True)
class Entry:
    """One erased id.

    kind: user, anonymous or contact. digest: HMAC of the id. token: what its person is called from now on. Times are ISO 8601,
    UTC; applied_at is None while rows that landed before may still hold the id. published: pseudonyms under which releases may
    know the person, until those releases are gone. folded: HMAC of the id in lower case, by which texts are searched; None in a
    ledger of before.
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
    """What was erased: persons, the partitions of lake and quarantine that were rewritten for it, and their changed rows.

    A person counts when the lake holds a row of theirs. unknown: requests for an id that is no user's in any row; misnamed: those
    of them whose id is a device's or an account's.
    """

    persons: int = 0
    partitions: int = 0
    rows: int = 0
    unknown: int = 0
    misnamed: int = 0

    def __str__(self) -> str:
        text = f"{self.persons:,} {'person' if self.persons == 1 else 'persons'}, {self.partitions:,} partitions rewritten"
        return f"{text}, {self.unknown:,} {_requests(self.unknown)} of nobody known" if self.unknown else text

    @property
    def warning(self) -> str | None:
        """What to tell of requests that name no known user, without their ids; None when there are none."""
        if not self.unknown:
            return None
        verb = "names" if self.unknown == 1 else "name"
        text = (
            f"{self.unknown:,} {_requests(self.unknown)} for erasure {verb} a user_id that no row has; "
            "each stays in force for later rows"
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
    """The ledger of one home. There is one writer.

    key: gives the key of the home, when it is needed: a home in which nobody was erased needs none.
    denied: ids, lower case, that are nobody's. max_links: users of a device above which it is no person's.
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
        """Every erased id, in the order in which they came."""
        return self._state.entries

    @property
    def pending(self) -> list[Entry]:
        """Entries for which the lake is not rewritten yet."""
        return [entry for entry in self.entries if entry.applied_at is None]

    @property
    def unpublished(self) -> Erased:
        """What was erased since the last release."""
        return self._state.unpublished

    @property
    def published_pseudonyms(self) -> set[str]:
        """Pseudonyms of erased persons that kept releases may still hold."""
        return {pseudonym for entry in self.entries if entry.applied_at for pseudonym in entry.published}

    def mark_applied(self, erased: Erased) -> None:
        """Record that neither the lake nor the build file hold what was pending."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        entries = tuple(replace(entry, applied_at=entry.applied_at or now) for entry in self.entries)
        before = self.unpublished
        total = Erased(**{name: getattr(before, name) + getattr(erased, name) for name in asdict(before)})
        self._save(_State(entries, total))

    def mark_published(self) -> None:
        """Record that a release without the erased persons stands, and that those which held them are gone."""
        if self.published_pseudonyms or self.unpublished != Erased():
            self._save(_State(tuple(replace(entry, published=()) if entry.applied_at else entry for entry in self.entries)))

    def add(self, entries: Iterable[Entry]) -> bool:
        """Add entries whose ids are new; returns whether there were any."""
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
        """Whether an erased id that kept releases may still hold stands in a relation's column `text`. The relation is SQL."""
        digests = [digest for entry in self.entries if entry.applied_at and entry.published for digest in sorted(entry.in_texts)]
        if not digests:
            return False
        self._key.bind(connection)
        found = connection.execute(
            f"""
            WITH texts AS MATERIALIZED (SELECT DISTINCT text FROM ({texts}) WHERE text IS NOT NULL),
            words AS MATERIALIZED (SELECT DISTINCT word FROM ({_words("texts", "text")}) WHERE word <> '')
            SELECT 1 FROM words WHERE {digest_sql("ledger", "word")} IN (SELECT unnest(?::VARCHAR[])) LIMIT 1
            """,
            [digests],
        )
        return found.fetchone() is not None

    def take_requests(self, connection: "duckdb.DuckDBPyConnection") -> None:
        """Enter the users of the accepted requests in `judged`, but for placeholder ids, which are warned of."""
        self._key.bind(connection)
        denied = f"lower(trim(user_id)) IN ({', '.join(map(literal, ('', *self.denied)))})"
        if ignored := _count(connection, f"SELECT count(*) FROM judged WHERE reasons IS NULL AND {denied}"):
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
        """Enter the devices and contacts that a relation's `rows` show together with an erased user.

        everything: the relation, rows included, by which it is known whose else they are. Both are SQL.
        """
        other = _other_id(source)
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
        if not _count(connection, "SELECT count(*) FROM linked"):
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
        """Take erased persons out of the table `judged`; returns how many rows changed. Doing it twice changes nothing more."""
        changed = 0
        if _find(connection, source, "judged"):
            if owner := _owner(source):
                changed += _count(
                    connection,
                    f"UPDATE judged SET {', '.join(_erasures(source))} "
                    f"FROM (SELECT judged.rowid AS place, {owner[0]} AS token FROM judged {owner[1]}) AS owned "
                    "WHERE owned.place = judged.rowid AND owned.token IS NOT NULL",
                )
            for column in _named(source, Personal.MENTION):
                changed += _count(
                    connection,
                    f"UPDATE judged SET {column} = token FROM found WHERE found.kind = 'user' AND found.id = judged.{column}",
                )
        changed += _erase_mentions(connection, source)
        refused = _naming("SELECT rowid AS place, raw::JSON AS refused FROM judged WHERE raw IS NOT NULL")
        changed += _count(connection, f"UPDATE judged SET raw = {literal(_ERASED_ROW)} WHERE rowid IN ({refused})")
        return changed


def enter(connection: "duckdb.DuckDBPyConnection", lake: Lake, source: Source, ledger: Ledger | None) -> None:
    """Take erased persons out of judged rows before they enter the lake, and enter in the ledger what the rows tell of them."""
    if source.name == REQUESTS:
        if ledger is None:
            raise ValueError("requests to be forgotten cannot be ingested without a ledger")
        ledger.take_requests(connection)
    if not ledger:
        return
    ledger.bind(connection)
    if other := _other_id(source):
        seen = f"SELECT user_id, {other[1]} FROM judged WHERE reasons IS NULL"
        scan = _scan(lake, source)
        everything = f"{seen} UNION ALL SELECT user_id, {other[1]} FROM ({scan})" if scan else seen
        ledger.take_links(connection, source, seen, everything)
    ledger.mask(connection, source)


def rewrite(lake: Lake, ledger: Ledger, *, memory_limit: str | None = None) -> Erased:
    """Take the persons with pending entries out of lake and quarantine; `mark_applied` is the caller's, when all is done.

    Exactly the partitions that hold one of their rows are replaced, each at once, and equal what ingesting their files again
    would give. Leftovers of killed runs are removed.
    """
    partitions = rows = 0
    refused: set[str] = set()
    with lake.connect(memory_limit) as connection:
        ledger.bind(connection)
        for source in CONTRACT.values():
            if scan := _scan(lake, source):
                ledger.take_links(connection, source, scan, scan)
        for source in CONTRACT.values():
            affected, digests = _affected(connection, lake, source)
            refused |= digests
            for batch in _batches(lake, affected):
                lake.load(connection, source, batch)
                rows += ledger.mask(connection, source)
                lake.write(connection, batch)
                partitions += len(batch)
        known = _known(connection, lake, {entry.token for entry in ledger.pending})
        known |= {entry.token for entry in ledger.pending if entry.in_texts & refused}
        unknown = [entry.digest for entry in ledger.pending if entry.kind == "user" and entry.token not in known]
        misnamed = _misnamed(connection, lake, unknown)
    lake.sweep()
    return Erased(len(known), partitions, rows, len(unknown), misnamed)


def _known(connection: "duckdb.DuckDBPyConnection", lake: Lake, tokens: Collection[str]) -> set[str]:
    """Tokens that a row of the lake has, requests aside."""
    known: set[str] = set()
    for source in CONTRACT.values():
        columns = _named(source, Personal.USER, Personal.MENTION)
        if source.name != REQUESTS and columns and (scan := _scan(lake, source)):
            for column in columns:
                found = f"SELECT DISTINCT {column} FROM ({scan}) WHERE {column} IN (SELECT unnest(?::VARCHAR[]))"
                known |= {token for (token,) in connection.execute(found, [list(tokens)]).fetchall()}
    return known


def _misnamed(connection: "duckdb.DuckDBPyConnection", lake: Lake, digests: Collection[str]) -> int:
    """How many of these digests are of a device's or an account's id."""
    misnamed: set[str] = set()
    for source in CONTRACT.values() if digests else ():
        columns = _named(source, Personal.ANONYMOUS)
        columns += [identifier(column.name) for column in source.columns if column.name == "account_id"]
        if columns and (scan := _scan(lake, source)):
            for column in columns:
                ids = f"SELECT DISTINCT {column} AS id FROM ({scan}) WHERE {column} IS NOT NULL"
                found = f"SELECT digest FROM (SELECT {digest_sql('ledger', 'id')} AS digest FROM ({ids}))"
                wanted = f"{found} WHERE digest IN (SELECT unnest(?::VARCHAR[]))"
                misnamed |= {digest for (digest,) in connection.execute(wanted, [list(digests)]).fetchall()}
    return len(misnamed)


def _requests(count: int) -> str:
    return "request" if count == 1 else "requests"


# --- what a source says of persons ---------------------------------------------------------------------------------------------


def _named(source: Source, *personal: Personal) -> list[str]:
    return [identifier(column.name) for column in source.columns if column.personal in personal]


def _other_id(source: Source) -> tuple[str, str] | None:
    """Kind and column of what links rows without a user to one; None for a source without."""
    for column in source.columns:
        if column.personal in {Personal.ANONYMOUS, Personal.CONTACT}:
            return _KINDS[column.personal], identifier(column.name)
    return None


def _ids(source: Source) -> list[tuple[str, str]]:
    """Kind and column of every id of a person."""
    users = [("user", column) for column in _named(source, Personal.USER, Personal.MENTION)]
    other = _other_id(source)
    return [*users, other] if other else users


def _owner(source: Source) -> tuple[str, str] | None:
    """SQL for the token of the person whose row it is, and the joins to `found` that it needs."""
    users = _named(source, Personal.USER)
    if not users:
        return None
    token, joins = "by_user.token", f"LEFT JOIN found AS by_user ON by_user.kind = 'user' AND by_user.id = judged.{users[0]}"
    if other := _other_id(source):
        token = f"coalesce({token}, by_other.token)"
        joins += (
            f" LEFT JOIN found AS by_other ON by_other.kind = '{other[0]}' AND by_other.id = judged.{other[1]} "
            f"AND judged.{users[0]} IS NULL"
        )
    return token, joins


def _erasures(source: Source) -> list[str]:
    """Assignments that leave of a row what is not personal; `token` is its person's."""
    return [
        f"{identifier(column.name)} = {_erased(column, source)}" for column in source.columns if column.personal is not None
    ] + ["extra = NULL"]


def _erased(column: Column, source: Source) -> str:
    name = f"judged.{identifier(column.name)}"
    match column.personal:
        case Personal.USER | Personal.CONTACT:
            return "token"
        case Personal.PAGE:
            ids = _named(source, Personal.USER, Personal.ANONYMOUS)
            texts = (f"lower({name})", f"lower(try(url_decode({name})))")
            naming = " OR ".join(f"coalesce(contains({text}, lower(judged.{id_})), false)" for text in texts for id_ in ids)
            return f"CASE WHEN {naming} THEN NULL ELSE nullif(regexp_extract({name}, '^[^?#]*'), '') END"
        case Personal.REFERRER:
            return f"nullif(regexp_extract({name}, '{_HOST}', 1) || regexp_extract({name}, '{_HOST}', 2), '')"
        case _:
            return "''" if column.required else "NULL"


def _texts(source: Source) -> list[tuple[str, str]]:
    """Columns of a source in which anybody's id may stand, and what is left of a text in which an erased one does."""
    texts = [("extra", "NULL")]
    for column in source.columns:
        if column.type in {Type.TEXT, Type.JSON} and (column.personal is not None or column.name.startswith("utm_")):
            left = "NULL" if column.personal is Personal.PAGE else _erased(column, source)
            texts.append((identifier(column.name), left))
    return texts


# --- SQL over rows -------------------------------------------------------------------------------------------------------------


def _find(connection: "duckdb.DuckDBPyConnection", source: Source, relation: str) -> int:
    """Fill `found` with the erased ids that a relation holds (kind, id, token); returns how many.

    Ids are told apart before they are hashed: an HMAC costs microseconds, and there are far fewer ids than rows.
    """
    ids = [f"SELECT '{kind}' AS kind, {column} AS id FROM {relation}" for kind, column in _ids(source)]
    connection.execute("CREATE OR REPLACE TABLE found (kind VARCHAR, id VARCHAR, token VARCHAR)")
    if ids:
        connection.execute(f"""
            INSERT INTO found
            WITH ids AS MATERIALIZED (SELECT DISTINCT kind, id FROM ({" UNION ALL ".join(ids)}) WHERE id IS NOT NULL),
            hashed AS MATERIALIZED (SELECT kind, id, {digest_sql("ledger", "id")} AS digest FROM ids)
            SELECT kind, id, token FROM hashed INNER JOIN erased USING (kind, digest)
        """)
    return _count(connection, "SELECT count(*) FROM found")


def _words(relation: str, keys: str, text: str = "text") -> str:
    """SQL for the words (keys, word) of a relation's text that may be an id: as they are spelled, and in lower case.

    Parts are read as they stand and with percent-escapes resolved, up to twice, which may bring up parts of their own.
    """
    around = literal(_AROUND_SEGMENTS)
    return f"""
        SELECT {keys}, unnest([word, lower(word)]) AS word FROM (
          WITH parts AS (
            SELECT DISTINCT {keys}, unnest(regexp_split_to_array({text}, {around})) AS part FROM {relation}
          ),
          escaped AS (
            SELECT {keys}, unnest([try(url_decode(part)), try(url_decode(url_decode(part)))]) AS part
            FROM parts WHERE contains(part, '%')
          ),
          pieces AS (
            SELECT {keys}, part FROM parts
            UNION SELECT {keys}, part FROM escaped
            UNION SELECT {keys}, unnest(regexp_split_to_array(part, {around})) FROM escaped
          )
          SELECT {keys}, trim(part) AS word FROM pieces
          UNION
          SELECT {keys}, word FROM (
            SELECT {keys}, unnest(
              regexp_split_to_array(part, {literal(_AROUND_WORDS)})
              || regexp_extract_all(part, {literal(_ADDRESS)})
              || [regexp_replace(part, {literal(_NO_WORD_AT_ENDS)}, '', 'g')]
            ) AS word FROM pieces
          ) WHERE length(word) >= {_SHORTEST_WORD}
        )
    """


def _find_mentions(connection: "duckdb.DuckDBPyConnection", source: Source, relation: str) -> bool:
    """Fill `mentions` (name, text) with the texts of a relation in which an erased id stands; returns whether there are any.

    An id stands in a text as a segment of a path, as a name or value of a query or document, or as a word; not as a part of one.
    """
    texts = [f"SELECT {literal(name)} AS name, {name}::VARCHAR AS text FROM {relation}" for name, _ in _texts(source)]
    connection.execute(f"""
        CREATE OR REPLACE TABLE mentions AS
        WITH texts AS MATERIALIZED (SELECT DISTINCT name, text FROM ({" UNION ALL ".join(texts)}) WHERE text IS NOT NULL),
        documents AS (SELECT name, text FROM texts WHERE contains(text, '\\') AND json_valid(text)),
        values AS (
          SELECT name, text, atom ->> '$' AS value FROM documents, json_tree(text::JSON) WHERE atom IS NOT NULL
          UNION
          SELECT name, text, key AS value FROM documents, json_tree(text::JSON) WHERE key IS NOT NULL
        ),
        words AS MATERIALIZED ({_words("texts", "name, text")} UNION {_words("values", "name, text", "value")}),
        ids AS MATERIALIZED (SELECT DISTINCT word FROM words WHERE word <> ''),
        hashed AS MATERIALIZED (SELECT word, {digest_sql("ledger", "word")} AS digest FROM ids)
        SELECT DISTINCT name, text FROM words INNER JOIN (FROM hashed SEMI JOIN erased_in_texts USING (digest)) USING (word)
    """)
    return bool(_count(connection, "SELECT count(*) FROM mentions"))


def _erase_mentions(connection: "duckdb.DuckDBPyConnection", source: Source) -> int:
    """Take erased ids out of the texts of anybody's rows in `judged`; returns how many texts changed."""
    if not _find_mentions(connection, source, "judged"):
        return 0
    return sum(
        _count(
            connection,
            f"UPDATE judged SET {name} = {left} FROM mentions WHERE mentions.name = {literal(name)} "
            f"AND mentions.text = judged.{name}::VARCHAR AND judged.{name}::VARCHAR IS DISTINCT FROM ({left})::VARCHAR",
        )
        for name, left in _texts(source)
    )


def _naming(rows: str, selected: str = "place") -> str:
    """SQL for place and digest, as selected, of refused rows (place, refused: JSON) with erased ids, as cells or words."""
    return f"""
        WITH cells AS (
          SELECT place, atom ->> '$' AS cell FROM ({rows}), json_tree(refused) WHERE atom IS NOT NULL
          UNION ALL
          SELECT place, key FROM ({rows}), json_tree(refused) WHERE key IS NOT NULL
        ),
        spelled AS (
          SELECT place, trim(cell) AS word FROM cells
          UNION
          SELECT place, unnest(regexp_split_to_array(cell, {literal(_AROUND_CELLS)})) FROM cells
          UNION
          SELECT place, unnest(regexp_split_to_array(cell, {literal(_AROUND_WORDS)})) FROM cells
          UNION
          {_words("cells", "place", "cell")}
        ),
        words AS (SELECT place, unnest([word, lower(word)]) AS word FROM spelled),
        ids AS MATERIALIZED (SELECT DISTINCT word FROM words WHERE word <> ''),
        hashed AS MATERIALIZED (SELECT word, {digest_sql("ledger", "word")} AS digest FROM ids)
        SELECT DISTINCT {selected} FROM words INNER JOIN (FROM hashed SEMI JOIN erased_in_texts USING (digest)) USING (word)
    """


def _scan(lake: Lake, source: Source, partitions: Iterable[Partition] | None = None) -> str | None:
    """SQL for the accepted rows of a source; None when there are none."""
    chosen = lake.partitions(source.name).values() if partitions is None else partitions
    files = [path for partition in chosen for path in lake.data_files(partition)]
    return scan(source, files) if files else None


def _affected(connection: "duckdb.DuckDBPyConnection", lake: Lake, source: Source) -> tuple[list[Partition], set[str]]:
    """Partitions that hold a row which `mask` would change, oldest first, and the digests that refused rows hold."""
    partitions = lake.partitions(source.name)
    days: set[date] = set()
    digests: set[str] = set()
    if _ids(source) and (scan := _scan(lake, source, partitions.values())) and _find(connection, source, f"({scan})"):
        users = _named(source, Personal.USER)
        conditions = [
            f"{column} IN (SELECT id FROM found WHERE kind = 'user')"
            for column in _named(source, Personal.USER, Personal.MENTION)
        ]
        if other := _other_id(source):
            conditions.append(f"{users[0]} IS NULL AND {other[1]} IN (SELECT id FROM found WHERE kind = '{other[0]}')")
        holding = connection.execute(f"SELECT DISTINCT arrived_date FROM ({scan}) WHERE {' OR '.join(conditions)}")
        days |= {day for (day,) in holding.fetchall()}
    if (scan := _scan(lake, source, partitions.values())) and _find_mentions(connection, source, f"({scan})"):
        named = " OR ".join(
            f"{name}::VARCHAR IN (SELECT text FROM mentions WHERE name = {literal(name)})" for name, _ in _texts(source)
        )
        days |= {day for (day,) in connection.execute(f"SELECT DISTINCT arrived_date FROM ({scan}) WHERE {named}").fetchall()}
    if files := {str(path): day for day, partition in partitions.items() for path in lake.refused_files(partition)}:
        listed = ", ".join(literal(exact(Path(path))) for path in files)
        scan = f"read_parquet([{listed}], filename = true, hive_partitioning = false)"
        rows = f'SELECT filename AS place, "row" AS refused FROM {scan}'
        holding_refused = connection.execute(_naming(rows, "place, digest")).fetchall()
        days |= {files[path] for path, _ in holding_refused}
        digests = {digest for _, digest in holding_refused}
    return [partition for day, partition in partitions.items() if day in days], digests


def _batches(lake: Lake, partitions: Sequence[Partition]) -> Iterator[list[Partition]]:
    """Cut partitions into runs of at most `_BATCH_BYTES`, a larger one alone."""
    batch: list[Partition] = []
    size = 0
    for partition in partitions:
        weight = sum(path.stat().st_size for path in lake.data_files(partition))
        if batch and size + weight > _BATCH_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(partition)
        size += weight
    if batch:
        yield batch


def _count(connection: "duckdb.DuckDBPyConnection", sql: str) -> int:
    row = connection.execute(sql).fetchone()
    return 0 if row is None else int(row[0])
