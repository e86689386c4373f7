"""The strategy `replace_visitor_days` by hand, for tests that run the models' compiled SQL without dbt.

Belongs here: which rows a night replaces, and that a rebuild replaces all. Does not belong here: the models, and planning.
"""

import duckdb

VISITOR = "coalesce('u:' || user_id, 'a:' || anonymous_id)"


def event_date(timezone: str) -> str:
    """SQL for the day on which a landed event happened."""
    return f"(occurred_at at time zone 'UTC' at time zone '{timezone}')::date"


def affect_everything(connection: duckdb.DuckDBPyConnection, timezone: str) -> None:
    """Affect all visitor days, as a rebuild does.

    dbt compiles a rebuild to read everything; compiled for a later night, the models read what is affected.
    """
    connection.execute(
        f"insert into control.affected_visitor_days select distinct {event_date(timezone)}, {VISITOR} from control.events_to_fold"
    )


def delete_affected(connection: duckdb.DuckDBPyConnection, table: str) -> None:
    """Delete the rows of a table (a quoted SQL name) that the night replaces."""
    columns = {name for (name, *_) in connection.execute(f"describe {table}").fetchall()}
    visitor = "visitor_id" if "visitor_id" in columns else VISITOR
    connection.execute(
        f"delete from {table} where (event_date, {visitor}) in"
        " (select (event_date, visitor_id) from control.affected_visitor_days)"
    )
