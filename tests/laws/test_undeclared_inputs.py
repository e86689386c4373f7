"""The project's SQL reads only inputs that dbt knows of: `warehouse.standing` watches no others."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

_COMMENT = re.compile(r"\{#.*?#\}|--[^\n]*", re.DOTALL)

# Functions whose result changes over time, and reads that bypass refs and sources.
_UNDECLARED = re.compile(
    r"\b(current_date|current_timestamp|current_time|localtimestamp|localtime)\b"
    r"|\b(now|today|get_current_timestamp|transaction_timestamp|random|setseed|uuid\w*|gen_random_uuid|getenv|nextval)\s*\("
    r"|\b(env_var|run_query|read_parquet|read_csv\w*|read_json\w*|read_text|read_blob|glob|sniff_csv)\s*\("
    r"|\b(?:from|join)\s+(\"?(?:staging|intermediate|core|marts|lake|control|ml|published)\"?\.\"?\w+\"?)",
    re.IGNORECASE,
)
_UNDECLARED_IN_PYTHON = re.compile(r"\b(datetime\.now|date\.today|time\.time|os\.environ|open)\s*\(|\b(random|default_rng\(\))")

# Tests of incremental models look at what a night replaced, which is no input: it follows those of the models.
_ALLOWED = {"where_replaced.sql": {"control.affected_visitor_days", "control.affected_as_of", "control.run"}}


def undeclared(folder: Path) -> Iterator[str]:
    """What the models, macros and tests in a folder ask beside refs, sources and variables."""
    for path in sorted(folder.rglob("*.sql")):
        if "target" not in path.relative_to(folder).parts:
            for found in _UNDECLARED.finditer(_COMMENT.sub("", path.read_text(encoding="utf-8"))):
                name = next(filter(None, found.groups()))
                if name not in _ALLOWED.get(path.name, ()):
                    yield f"{path.name}: {name}"
    for path in sorted(folder.rglob("*.py")):
        for found in _UNDECLARED_IN_PYTHON.finditer(path.read_text(encoding="utf-8")):
            yield f"{path.name}: {next(filter(None, found.groups()))}"


def test_the_project_asks_neither_the_clock_nor_files_nor_relations_by_name(repository: Path) -> None:
    assert list(undeclared(repository / "dbt_project")) == []


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        ("select * from {{ ref('a') }} where day < current_date", "current_date"),
        ("select now() as made_at", "now"),
        ("select * from {{ ref('a') }} using sample 5 order by RANDOM ()", "RANDOM"),
        ("select * from read_parquet('x')", "read_parquet"),
        ("{{ env_var('HOME') }}", "env_var"),
        ("select 1 from {{ ref('a') }} join core.dim_date using (day)", "core.dim_date"),
        ('select * from "lake"."orders"', '"lake"."orders"'),
    ],
)
def test_a_planted_input_is_found(tmp_path: Path, sql: str, named: str) -> None:
    (tmp_path / "planted.sql").write_text(f"-- current_date\n{{# now() #}}\n{sql}\n", encoding="utf-8")
    assert list(undeclared(tmp_path)) == [f"planted.sql: {named}"]


def test_a_planted_clock_of_a_python_model_is_found(tmp_path: Path) -> None:
    (tmp_path / "planted.py").write_text("def model(dbt, session):\n    return date.today()\n", encoding="utf-8")
    assert list(undeclared(tmp_path)) == ["planted.py: date.today"]
