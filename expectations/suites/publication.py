"""Rules of `_publication`, the row in which a release describes itself.

Belongs here: rules over that table and the list of other tables. Does not belong here: comparisons of a mart with it
(`expectations.checks.published`).
"""

from collections.abc import Sequence

from expectations.checks import DATABASE, Check, Context, Query, holds, literal

TABLE = "_publication"
_COLUMNS = {
    "release_id": "VARCHAR",
    "data_through": "DATE",
    "published_at": "TIMESTAMP",
    "code_version": "VARCHAR",
    "model_version": "VARCHAR",
    "marts": "STRUCT(mart VARCHAR, row_count BIGINT)[]",
}

# Two days behind means that a source was late once; more means that it stopped.
_DAYS_BEHIND = 3


def publication(context: Context, marts: Sequence[str]) -> list[Check]:
    """Return the checks of `_publication` in a release of exactly `marts`."""
    wanted = ", ".join(f"({literal(mart)})" for mart in marts)
    tables = f"""
        WITH requested(mart) AS (VALUES {wanted}),
        listed AS (SELECT unnest(marts, recursive := true) FROM marts.{TABLE}),
        stored AS (SELECT table_name AS mart FROM duckdb_tables() WHERE database_name = '{DATABASE}' AND table_name <> '{TABLE}'),
        views AS (
            SELECT view_name AS mart FROM duckdb_views()
            WHERE database_name = '{DATABASE}' AND schema_name = 'main' AND NOT internal
        ),
        odd AS (
            SELECT mart FROM requested WHERE mart NOT IN (FROM stored)
            UNION ALL SELECT mart FROM requested WHERE mart NOT IN (SELECT mart FROM listed WHERE mart IS NOT NULL)
            UNION ALL SELECT mart FROM listed WHERE mart IS NULL OR mart NOT IN (FROM requested)
            UNION ALL SELECT mart FROM stored WHERE mart NOT IN (FROM requested)
            UNION ALL FROM views
        )
        SELECT (SELECT count(*) FROM odd), (SELECT count(*) FROM stored), (SELECT count(*) FROM requested)"""
    types = ", ".join(
        f"({literal(name)}, {literal(kind)}, {position})" for position, (name, kind) in enumerate(_COLUMNS.items(), 1)
    )
    columns = f"""
        WITH wanted(column_name, data_type, column_index) AS (VALUES {types}),
        found AS (
            SELECT column_name, data_type, column_index FROM duckdb_columns()
            WHERE database_name = '{DATABASE}' AND table_name = '{TABLE}'
        ),
        odd AS ((FROM wanted EXCEPT FROM found) UNION ALL (FROM found EXCEPT FROM wanted))
        SELECT (SELECT count(*) FROM odd), (SELECT count(*) FROM found), (SELECT count(*) FROM wanted)"""
    through = literal(context.data_through)
    return [
        Query("columns", columns, "The table has exactly the declared columns, in order and of their types."),
        Query(
            "row_count",
            f"SELECT (count(*) <> 1)::INTEGER, count(*), 1 FROM marts.{TABLE}",
            "A release describes itself in one row.",
        ),
        holds(TABLE, "release_id.filled", "length(trim(release_id)) > 0", "The release has an id."),
        holds(TABLE, "code_version.filled", "length(trim(code_version)) > 0", "The release names the code that made it."),
        holds(
            TABLE, "data_through.current", f"data_through = {through}", "The data reach exactly the last complete arrival day."
        ),
        # In the easternmost reporting time zones a day ends before it does in UTC. A simulated company may be in the future.
        holds(
            TABLE,
            "published_at.after_data",
            "published_at > data_through - 1",
            "The release was made after its data ended.",
            severity="warning",
        ),
        holds(
            TABLE,
            "data_through.recent",
            f"data_through >= {literal(context.as_of)} - {_DAYS_BEHIND}",
            f"The data end at most {_DAYS_BEHIND} days before the night.",
            severity="warning",
        ),
        Query("marts.complete", tables, "The marts that were asked for, are stored and are listed are the same."),
    ]
