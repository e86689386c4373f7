"""PostgreSQL's types for published columns.

Belongs here: the type of each column, and reading it back. Does not belong here: statements (`postgres`).
"""

import re

from orchestration.base.errors import NorthstarError
from orchestration.base.sql import identifier
from orchestration.publishing.manifest import Column

_DECIMAL = re.compile(r"DECIMAL\((\d+),(\d+)\)")
_TYPES = {
    "BIGINT": "bigint",
    "BOOLEAN": "boolean",
    "DATE": "date",
    "DOUBLE": "double precision",
    "FLOAT": "real",
    "HUGEINT": "numeric(38, 0)",
    "INTEGER": "integer",
    "JSON": "json",  # which keeps the text as it is, unlike jsonb
    "SMALLINT": "smallint",
    "TIME": "time",
    "TIMESTAMP": "timestamp",
    "TIMESTAMP WITH TIME ZONE": "timestamptz",
    "TINYINT": "smallint",
    "UBIGINT": "numeric(20, 0)",
    "UINTEGER": "bigint",
    "USMALLINT": "integer",
    "UTINYINT": "smallint",
    "UUID": "uuid",
    "VARCHAR": "text",
}


def column_type(table: str, column: Column) -> str:
    """PostgreSQL's type for a published column; lists, structs and maps become jsonb."""
    if decimal := _DECIMAL.fullmatch(column.type):
        return f"numeric({decimal[1]}, {decimal[2]})"
    if is_nested(column):
        return "jsonb"
    if column.type not in _TYPES:
        raise NorthstarError(f"{table}.{column.name} is {column.type}, for which PostgreSQL has no type that is known here")
    return _TYPES[column.type]


def is_nested(column: Column) -> bool:
    """Whether a column holds a list, a struct or a map."""
    return column.type.endswith("]") or column.type.startswith(("STRUCT(", "MAP("))


def as_published(column: Column) -> str:
    """A loaded column in the type that it was published with, so that both have one digest."""
    name = identifier(column.name)
    return f"CAST({f'CAST({name} AS JSON)' if is_nested(column) else name} AS {column.type}) AS {name}"
