"""Names and texts as parts of a DuckDB statement.

Belongs here: quoting. Does not belong here: statements. Values are bound where DuckDB takes parameters; paths, settings and
comments cannot be, and go through here. DuckDB's readers take every path for a pattern, bound or not: `exact` names one file.
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
    """Return a path for DuckDB's readers that matches this file alone, whatever wildcards (`[`, `*`, `?`) are in its name.

    A path that has both a wildcard and a backslash matches nothing: DuckDB takes the backslash for a separator then.
    """
    return _WILDCARDS.sub(r"[\g<0>]", str(path))
