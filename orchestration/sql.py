"""Names and texts as parts of a DuckDB statement.

Belongs here: quoting. Does not belong here: statements. Values are bound where DuckDB takes parameters; paths, settings and
comments cannot be, and go through here.
"""


def identifier(name: str) -> str:
    """Quote a name of a table, a column or a catalog."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Quote a text."""
    return "'" + text.replace("'", "''") + "'"
