"""DuckDB connections are opened in one place, so that all have the same time zone, limits and temporary folder."""

import ast
from pathlib import Path

import pytest

PACKAGES = ("orchestration", "ml", "expectations")

# Modules that call duckdb.connect, each with its reason.
OPENERS = {
    "orchestration/base/duck.py": "the one place",
    "expectations/gate.py": "the gate may be used without the orchestration, on a connection that can reach nothing else",
}


def openers(root: Path) -> set[str]:
    """Files that call or import `duckdb.connect`, by any spelling of it, relative to the root."""
    found = set()
    for path in (path for package in PACKAGES for path in (root / package).rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
        names = {
            alias.asname or alias.name
            for node in imports
            if isinstance(node, ast.Import)
            for alias in node.names
            if alias.name == "duckdb"
        }
        taken = any(
            isinstance(node, ast.ImportFrom) and node.module == "duckdb" and any(alias.name == "connect" for alias in node.names)
            for node in imports
        )
        called = any(
            isinstance(node, ast.Attribute)
            and node.attr == "connect"
            and isinstance(node.value, ast.Name)
            and node.value.id in names
            for node in ast.walk(tree)
        )
        if taken or called:
            found.add(path.relative_to(root).as_posix())
    return found


def test_connections_are_opened_in_one_place(repository):
    assert openers(repository) == set(OPENERS)


@pytest.mark.parametrize(
    "text",
    [
        "import duckdb\n\nconnection = duckdb.connect()\n",
        "import duckdb as engine\n\nopen = engine.connect\n",
        "def late():\n    import duckdb\n\n    with duckdb.connect('file') as connection:\n        return connection\n",
        "from duckdb import connect\n",
        "from duckdb import Error, connect as opened\n",
    ],
)
def test_another_opener_is_found(tmp_path, text):
    (tmp_path / "orchestration").mkdir()
    (tmp_path / "orchestration" / "sly.py").write_text(text)
    innocent = "import duckdb\nimport psycopg\n\n# duckdb.connect\nconnection = psycopg.connect()\nwarehouse.connect()\n"
    (tmp_path / "orchestration" / "innocent.py").write_text(innocent)
    assert openers(tmp_path) == {"orchestration/sly.py"}
