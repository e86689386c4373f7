"""Quoting of names and texts in DuckDB statements.

Belongs here: quoting. Does not belong here: statements. Values are bound where DuckDB takes parameters; paths, settings and
comments cannot be and are quoted here. DuckDB's readers treat every path, bound or not, as a pattern: `exact` matches one file.
"""

import re
from pathlib import Path

_WILDCARDS = re.compile(r"[\[*?]")


def identifier(name: str) -> str:
    """Quote a name of a table, a column or a catalog."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Quote a text."""
    return "'" + text.replace("'", "''") + "'"


def exact(path: Path) -> str:
    """Return a pattern for DuckDB's readers that matches only this file, even if its name contains wildcards (`[`, `*`, `?`).

    A path with both a wildcard and a backslash matches nothing, because DuckDB then treats the backslash as a separator.
    """
    return _WILDCARDS.sub(r"[\g<0>]", str(path))
