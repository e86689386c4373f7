"""SQL that finds erased ids in columns, texts and refused rows, and removes them from texts.

Belongs here: how an id is recognised in a text. Does not belong here: which columns are looked at (`columns`), or who
is erased (`ledger`).
"""

from typing import TYPE_CHECKING

from orchestration.base.pseudonyms import digest_sql
from orchestration.base.sql import literal
from orchestration.landing.erasure.columns import ids_of, texts_of
from orchestration.landing.source import Source

if TYPE_CHECKING:
    import duckdb

# What stands between the cells of a refused row, and what else may stand around an id within a cell.
_AROUND_CELLS = r"""[\s"',;|{}\[\]]+"""
_AROUND_WORDS = r"[^\p{L}\p{N}_-]+"
_NO_WORD_AT_ENDS = r"^[^\p{L}\p{N}]+|[^\p{L}\p{N}]+$"
_ADDRESS = r"[\p{L}\p{N}._%+-]+@[\p{L}\p{N}.-]*[\p{L}\p{N}]"
# What stands around a segment of a path, or a name or value of a query or JSON document.
_AROUND_SEGMENTS = r"""[/?&=#;,\s"'{}\[\]]+"""
# Shorter ids count as named only where they stand alone as a segment, name or value, for many words of a text are as short.
_SHORTEST_WORD = 5


def find_ids(connection: "duckdb.DuckDBPyConnection", source: Source, relation: str) -> int:
    """Fill `found` (kind, id, token) with the erased ids of a relation; return their number.

    Hashes distinct ids only: an HMAC costs microseconds, and there are far fewer ids than rows.
    """
    ids = [f"SELECT '{kind}' AS kind, {column} AS id FROM {relation}" for kind, column in ids_of(source)]
    connection.execute("CREATE OR REPLACE TABLE found (kind VARCHAR, id VARCHAR, token VARCHAR)")
    if ids:
        connection.execute(f"""
            INSERT INTO found
            WITH ids AS MATERIALIZED (SELECT DISTINCT kind, id FROM ({" UNION ALL ".join(ids)}) WHERE id IS NOT NULL),
            hashed AS MATERIALIZED (SELECT kind, id, {digest_sql("ledger", "id")} AS digest FROM ids)
            SELECT kind, id, token FROM hashed INNER JOIN erased USING (kind, digest)
        """)
    return count(connection, "SELECT count(*) FROM found")


def words_in(relation: str, keys: str, text: str = "text") -> str:
    """Return SQL for the words (keys, word) of a relation's text that may be an id, as written and in lower case.

    Parts are read as written and with percent-escapes resolved up to twice, which may reveal further parts.
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


def find_mentions(connection: "duckdb.DuckDBPyConnection", source: Source, relation: str) -> bool:
    """Fill `mentions` (name, text) with the texts of a relation that contain an erased id; return whether there are any.

    A text contains an id as a path segment, as a name or value of a query or document, or as a whole word.
    """
    texts = [f"SELECT {literal(name)} AS name, {name}::VARCHAR AS text FROM {relation}" for name, _ in texts_of(source)]
    connection.execute(f"""
        CREATE OR REPLACE TABLE mentions AS
        WITH texts AS MATERIALIZED (SELECT DISTINCT name, text FROM ({" UNION ALL ".join(texts)}) WHERE text IS NOT NULL),
        documents AS (SELECT name, text FROM texts WHERE contains(text, '\\') AND json_valid(text)),
        values AS (
          SELECT name, text, atom ->> '$' AS value FROM documents, json_tree(text::JSON) WHERE atom IS NOT NULL
          UNION
          SELECT name, text, key AS value FROM documents, json_tree(text::JSON) WHERE key IS NOT NULL
        ),
        words AS MATERIALIZED ({words_in("texts", "name, text")} UNION {words_in("values", "name, text", "value")}),
        ids AS MATERIALIZED (SELECT DISTINCT word FROM words WHERE word <> ''),
        hashed AS MATERIALIZED (SELECT word, {digest_sql("ledger", "word")} AS digest FROM ids)
        SELECT DISTINCT name, text FROM words INNER JOIN (FROM hashed SEMI JOIN erased_in_texts USING (digest)) USING (word)
    """)
    return bool(count(connection, "SELECT count(*) FROM mentions"))


def erase_mentions(connection: "duckdb.DuckDBPyConnection", source: Source) -> int:
    """Remove erased ids from the texts of all rows in `judged`; return the number of changed texts."""
    if not find_mentions(connection, source, "judged"):
        return 0
    return sum(
        count(
            connection,
            f"UPDATE judged SET {name} = {left} FROM mentions WHERE mentions.name = {literal(name)} "
            f"AND mentions.text = judged.{name}::VARCHAR AND judged.{name}::VARCHAR IS DISTINCT FROM ({left})::VARCHAR",
        )
        for name, left in texts_of(source)
    )


def naming(rows: str, selected: str = "place") -> str:
    """Return SQL that selects place or digest of refused rows (place, refused: JSON) with an erased id as a cell or word."""
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
          {words_in("cells", "place", "cell")}
        ),
        words AS (SELECT place, unnest([word, lower(word)]) AS word FROM spelled),
        ids AS MATERIALIZED (SELECT DISTINCT word FROM words WHERE word <> ''),
        hashed AS MATERIALIZED (SELECT word, {digest_sql("ledger", "word")} AS digest FROM ids)
        SELECT DISTINCT {selected} FROM words INNER JOIN (FROM hashed SEMI JOIN erased_in_texts USING (digest)) USING (word)
    """


def count(connection: "duckdb.DuckDBPyConnection", sql: str) -> int:
    """Run a statement that returns one whole number, such as a count or the number of changed rows."""
    row = connection.execute(sql).fetchone()
    return 0 if row is None else int(row[0])
