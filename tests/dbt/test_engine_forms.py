"""The Spark forms of the engine's macros: Spark's own functions, and the same answers as the DuckDB forms.

Belongs here: macros rendered by themselves and read by sqlglot; what is written for Spark is run in DuckDB, translated. Does not
belong here: models (their tests run the DuckDB forms).
"""

import re
from collections.abc import Callable
from typing import Any

import duckdb
import jinja2
import pytest
import sqlglot
from sqlglot import exp

from orchestration.config.project import DBT_PROJECT

ENGINE = DBT_PROJECT / "macros" / "engine"
# Files all of whose macros have a form for Spark.
BOTH = ("pages.sql",)
# Functions of Spark that sqlglot has no name for.
SPARK_ONLY = {"try_url_decode"}

PAGES = (
    *(None, "", "/", "/a?x=1", "?x", "/x#top", "/#/", "/#/f?x", "/#!/f", " /A b\n/c ", "/a\nb?x\ny", "//x.y/a//b/", "/a;b/c;d"),
    *("/u/u1/Settings", "https://a.example/o/17850;s=1?q", "https://shop.example", "https://shop.example/#/u/17850/x?tab=1"),
    *("/m/x%40y.example", "/m/x%2540y.example", "/100%", "/100%25", "/a+b/c", "/%E5%8C%97/x", "/~ann/x.html", "/go%2Fann"),
    *("/t/eyJhbGciOiJIUzI1NiJ9abc", "/o/3f2b8c1a-9d7e-4f60-8a1b-0c2d3e4f5a6b", "/a/b/c/d/e/f/g/h/i/j/k"),
)


class Forms:
    """Macros of a file of the engine as one dialect has them."""

    def __init__(self, source: str, dialect: str) -> None:
        self._dialect = dialect
        self._module: Any = (
            jinja2.Environment(autoescape=False)  # noqa: S701  (SQL, not HTML)
            .from_string(source, globals={"adapter": self, "return": lambda value: value})
            .module
        )

    def dispatch(self, name: str) -> Callable[..., str]:
        return lambda *arguments: str(getattr(self._module, f"{self._dialect}__{name}")(*arguments))

    def __getattr__(self, name: str) -> Callable[..., str]:
        return lambda *arguments: str(getattr(self._module, name)(*arguments)).strip()

    def published(self) -> str:
        """Every macro of pages.sql in one query: path, its words, and the path with `:id` for what has the form of one."""
        page = self.path_of(f"case when {self.is_id_by_form('decoded')} then ':id' else segment end", "place")
        return f"""
            with paths as (select distinct {self.page_path("page")} as path from pages),
            segments as ({self.path_segments("paths")}),
            words as (select path, place, decoded, {self.words_of("decoded")} as word from segments),
            whole as (select path, {page} as page from segments group by path)
            select words.path, words.place, words.decoded, words.word, whole.page
            from words inner join whole on words.path = whole.path
        """


def forms(dialect: str) -> Forms:
    return Forms((ENGINE / "pages.sql").read_text(encoding="utf-8"), dialect)


def without_spark_form(source: str) -> set[str]:
    dispatched = set(re.findall(r'adapter\.dispatch\("(\w+)"\)', source))
    return dispatched - set(re.findall(r"macro spark__(\w+)\(", source))


def unknown_to_spark(sql: str) -> set[str]:
    """Functions that Spark does not have, as far as sqlglot can tell."""
    found = {node.name.lower() for node in sqlglot.parse_one(sql, dialect="spark").find_all(exp.Anonymous)}
    return found - SPARK_ONLY


def translated(sql: str) -> str:
    """Spark's SQL in DuckDB's."""

    def group(node: exp.Expression) -> exp.Expression:
        if isinstance(node, exp.RegexpReplace):
            node.set("replacement", exp.Literal.string(node.args["replacement"].name.replace("$", "\\")))
        return node

    return sqlglot.parse_one(sql, dialect="spark").transform(group).sql("duckdb")


def rows(sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect() as connection:
        connection.execute("create macro try_url_decode(text) as try(url_decode(text))")
        connection.execute("create table pages as select unnest(?::varchar[]) as page", [list(PAGES)])
        return sorted(connection.execute(sql).fetchall())


@pytest.mark.parametrize("name", BOTH)
def test_every_macro_has_a_form_for_spark(name: str) -> None:
    source = (ENGINE / name).read_text(encoding="utf-8")
    assert not without_spark_form(source)
    assert without_spark_form(source.replace("spark__path_of", "spark__path_off")) == {"path_of"}


def test_the_forms_for_spark_have_only_functions_of_spark() -> None:
    assert not unknown_to_spark(forms("spark").published())
    assert unknown_to_spark(forms("duckdb").published()) >= {
        "url_decode",
        "string_split",
        "regexp_matches",
        "generate_subscripts",
    }


def test_both_forms_give_the_same() -> None:
    expected = rows(forms("duckdb").published())
    assert len({path for path, *_ in expected}) > 20
    assert ("/m/x%2540y.example", 3, "x@y.example", "example", "/m/:id") in expected
    spark = forms("spark").published()
    assert rows(translated(spark)) == expected
    for written, otherwise in (("'%2B'", "'%20'"), ("{20,}", "{40,}"), ("split(path, '/')", "split(path, '-')")):
        assert written in spark
        assert rows(translated(spark.replace(written, otherwise))) != expected
