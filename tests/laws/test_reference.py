"""The generated pages are current and complete, and what makes them does so in one way only."""

import csv
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from orchestration.adapters import ADAPTERS
from orchestration.cli import cli
from orchestration.config.loading import load
from orchestration.config.project import DBT_PROJECT
from orchestration.config.schema import Config
from orchestration.config.tables import ChannelRule, Funnel, FunnelStep, Pages, Publish, Waiver
from orchestration.landing.contract import CONTRACT
from orchestration.landing.vocabulary import CORE_EVENTS
from orchestration.marts import Column, MartSpec, mart_nodes
from orchestration.reference import generation
from orchestration.reference.__main__ import main
from orchestration.reference.commands import commands_page
from orchestration.reference.configuration import ENVIRONMENT
from orchestration.reference.flowchart import flowchart
from orchestration.reference.landing import LANDING_MACRO, landing_macro
from orchestration.reference.marts import grain_sentence, marts_page
from orchestration.reference.metrics import metrics
from orchestration.warehouse import dbt

REFERENCE = Path("docs", "reference")
METRICS_OF_DBT = Path("dbt_project", "models", "marts", "metrics", "metrics.md")
CORRUPTIONS = Path("expectations", "corruptions.md")
PAGES = (
    *(REFERENCE / f"{name}.md" for name in ("marts", "landing", "configuration", "metrics", "commands")),
    METRICS_OF_DBT,
    CORRUPTIONS,
    LANDING_MACRO,
)


@pytest.fixture(scope="module")
def pages(configured) -> dict[Path, str]:
    dbt.prepare(configured)
    return generation.pages(configured)


@pytest.fixture(scope="module")
def current(pages) -> dict[str, str]:
    """The reference pages by name."""
    return {path.stem: text for path, text in pages.items() if path.parent == REFERENCE}


def section(page: str, heading: str) -> str:
    """A page's text from a heading of the second level to the next one."""
    return re.split(r"^## ", page.split(f"\n## {heading}\n")[1], maxsplit=1, flags=re.MULTILINE)[0]


def first_column(text: str) -> list[str]:
    """Code in the first column of every table, without bold and links."""
    return re.findall(r"^\| (?:\*\*|\[)?`([^`]+)`", text, re.MULTILINE)


def nodes(drawing: str) -> list[str]:
    return [label for found in re.findall(r'^    \w+\["([^"]+)"\]$', drawing, re.MULTILINE) for label in found.split("<br/>")]


def edges(drawing: str) -> set[tuple[str, str]]:
    return set(re.findall(r"^  (\w+) --> (\w+)$", drawing, re.MULTILINE))


def lineage(current: dict[str, str]) -> str:
    return "```mermaid" + current["marts"].split("```mermaid")[1]


def test_the_pages_are_current(repository, pages):
    assert tuple(pages) == PAGES
    assert generation.stale(repository, pages) == [], "run `make docs`"


def test_the_pages_are_the_same_every_time(configured, pages):
    assert generation.pages(configured) == pages


def test_the_metrics_in_the_documentation_of_dbt_are_those_of_the_reference(pages, current):
    table = current["metrics"][current["metrics"].index("| metric |") :]
    assert table in pages[METRICS_OF_DBT]
    assert pages[METRICS_OF_DBT].startswith("{% docs metrics %}\n")
    assert pages[METRICS_OF_DBT].endswith("\n{% enddocs %}\n")


def test_write_makes_what_is_missing_or_stale_and_nothing_else(tmp_path):
    wanted = {Path("a", "b.md"): "1\n", Path("c.md"): "2\n", Path("d.md"): "3\n"}
    (tmp_path / "c.md").write_text("2 \n", encoding="utf-8")
    (tmp_path / "d.md").write_text("3\n", encoding="utf-8")
    assert generation.stale(tmp_path, wanted) == [Path("a", "b.md"), Path("c.md")]
    assert generation.write(tmp_path, wanted) == [Path("a", "b.md"), Path("c.md")]
    assert {path: (tmp_path / path).read_text(encoding="utf-8") for path in wanted} == wanted
    assert generation.write(tmp_path, wanted) == []


def test_dbt_has_the_keys_of_the_landing_contract(repository):
    written = (repository / LANDING_MACRO).read_text(encoding="utf-8")
    assert written == landing_macro(CONTRACT.values()), "run `make docs`"


@pytest.mark.parametrize(
    ("stated", "planted"),
    [
        ('["ticket_id"]', '["ticket_id", "account_id"]'),
        ('"latest": true', '"latest": false'),
        ('    "feedback"', '    "feedbacks"'),
    ],
)
def test_a_key_that_differs_from_the_contract_is_stale(tmp_path, stated, planted):
    wanted = {LANDING_MACRO: landing_macro(CONTRACT.values())}
    assert generation.write(tmp_path, wanted) == [LANDING_MACRO]
    macro = tmp_path / LANDING_MACRO
    macro.write_text(wanted[LANDING_MACRO].replace(stated, planted, 1), encoding="utf-8")
    assert generation.stale(tmp_path, wanted) == [LANDING_MACRO]
    assert generation.write(tmp_path, wanted) == [LANDING_MACRO]
    assert generation.stale(tmp_path, wanted) == []


def test_a_key_that_changes_in_the_contract_changes_the_macro():
    shorter = [replace(source, key=source.key[:1]) for source in CONTRACT.values()]
    assert landing_macro(shorter) != landing_macro(CONTRACT.values())


def test_a_key_is_partitioned_by_its_columns():
    macro = landing_macro([CONTRACT["outcomes"], CONTRACT["ad_spend"], CONTRACT["exposures"]])
    assert '"outcomes": {"key": ["account_id", "measured_at"], "latest": true, "dated": true, "summed": []},' in macro
    assert '"key": ["spend_date", "utm_source", "coalesce(utm_medium, \'\')",' in macro
    assert '"exposures": {"key": ["experiment_id", "unit_id", "variant"], "latest": false, "dated": false,' in macro


def test_columns_that_add_up_are_those_of_the_contract():
    source = replace(CONTRACT["ad_spend"], summed=("cost", "clicks"))
    assert landing_macro([source]).count('"summed": ["cost", "clicks"]}') == 1


def test_every_metric_with_a_target_is_defined_and_shown(current):
    with (DBT_PROJECT / "seeds" / "targets.csv").open(encoding="utf-8") as file:
        targets = [row["metric"] for row in csv.DictReader(file)]
    with (DBT_PROJECT / "seeds" / "metrics.csv").open(encoding="utf-8") as file:
        definitions = {row["metric"]: row for row in csv.DictReader(file)}
    assert set(targets) <= set(definitions)
    shown = re.findall(r"^\| `(\w+)` \|", current["metrics"], re.MULTILINE)
    assert shown == list(definitions)
    for row in definitions.values():
        assert row["parent"] in {"", *definitions}
        assert row["growth_of"] in ({*definitions} if row["kind"] == "growth" else {""})
        assert bool(row["missing"]) != bool(row["numerator"])
        for fact in re.split("; | or ", row["requires"]) if row["requires"] else ():
            source, _, column = fact.partition(".")
            assert column == "" or CONTRACT[source].column(column.partition("=")[0])
            assert source in CONTRACT


def test_a_metric_is_shown_with_its_target_and_what_it_counts():
    definition = {"metric": "a", "parent": "b", "kind": "score", "period": "month", "lag_days": "7", "missing": ""}
    counts = {"numerator": "x", "denominator": "y", "label_en": "", "label_zh": ""}
    target = {
        "metric": "a",
        "label_en": "A",
        "label_zh": "甲",
        "direction": "at_most",
        "target": "2",
        "unit": "hours",
        "note": "once",
    }
    row = "| `a` | A (甲) | ≤ 2 hours (once) | month | 100 × x / y; known 7 days later | `b` |"
    assert metrics([definition | counts], [target]).splitlines()[2] == row
    missing = metrics([definition | counts | {"missing": "no one counts", "label_en": "A", "label_zh": "甲"}], [])
    assert missing.splitlines()[2] == "| `a` | A (甲) |  | month | not yet: no one counts | `b` |"


def test_the_landing_page_has_every_source_and_column(current):
    page = current["landing"]
    assert re.findall(r"^## `(\w+)`$", page, re.MULTILINE) == list(CONTRACT)
    assert first_column(page.split("\n## ")[0]) == list(CONTRACT)
    for source in CONTRACT.values():
        own = section(page, f"`{source.name}`")
        assert first_column(own) == [column.name for column in source.columns]
        assert re.findall(r"^\| \*\*`(\w+)`", own, re.MULTILINE) == list(source.required_columns)
        for column in source.columns:
            assert f"{column.type.value} | {', '.join(column.allowed)}" in own
    assert "| `city_tier` | integer | at least 1, at most 5 |" in section(page, "`events`")
    assert "at least one of `anonymous_id`, `user_id`" in section(page, "`events`")
    assert "| **`usd_rate`** | rate | above 0 |" in section(page, "`fx_rates`")
    assert "added up: `cost`" in section(page, "`ad_spend`")
    assert all(f"`{event}`" in page for event in CORE_EVENTS)
    assert first_column(section(page, "Adapters")) == sorted(ADAPTERS)


def test_the_marts_page_has_every_mart_and_column(manifest, current):
    page = current["marts"]
    assert first_column(page.split("\n## ")[0]) == sorted(mart_nodes(manifest))
    for name, node in mart_nodes(manifest).items():
        assert first_column(section(page, f"`{name}`")) == list(node["columns"])
        assert f"- Grain: {', '.join(f'`{column}`' for column in node['config']['meta']['grain'])}." in section(page, f"`{name}`")


def test_a_mart_says_which_version_it_is_and_how_long_it_is_published():
    column = Column("a", "VARCHAR", "x | y")
    spec = MartSpec("mart_a", ("a",), (column,), "One row per a.", version=2, published_until=date(2026, 12, 31))
    page = marts_page([spec], "")
    assert "- Version: 2.\n- Published until 2026-12-31.\n" in page
    assert r"| `a` | varchar | x \| y |" in page


def test_the_grain_sentence_is_the_first_without_its_opening():
    assert grain_sentence("One row per a and\n b. Of them c.\n") == "a and b"


def test_the_configuration_has_every_key_and_the_variables_that_are_read(current, tmp_path):
    class Recorded(dict):
        def get(self, key, default=None):
            asked.add(key)
            return default

    asked: set[str] = set()
    load(Recorded(), directory=tmp_path)
    assert asked == set(ENVIRONMENT)
    assert first_column(section(current["configuration"], "Keys")) == list(Config.model_fields)
    assert first_column(section(current["configuration"], "Environment variables")) == list(ENVIRONMENT)
    nested = first_column(section(current["configuration"], "Nested tables"))
    models = (Funnel, FunnelStep, ChannelRule, Pages, Publish, Waiver)
    assert nested == [key for model in models for key in model.model_fields]
    assert all(field.description for field in Config.model_fields.values())
    assert '| `reporting_timezone` | `"Asia/Shanghai"` |' in current["configuration"]


def test_the_defaults_can_be_copied_into_a_configuration_file(current, tmp_path):
    rows = re.findall(r"^\| `(\w+)` \| `(.+?)` \|", current["configuration"], re.MULTILINE)
    keys = [f"{key} = {default}" for key, default in rows if key in Config.model_fields]
    (tmp_path / "northstar.toml").write_text("\n".join(keys), encoding="utf-8")
    assert load({}, directory=tmp_path).config == Config()


def test_the_commands_are_those_of_the_command_line(current):
    page = current["commands"]
    names = [f"northstar {name}" for name in cli.commands]
    names.insert(names.index("northstar models") + 1, "northstar models rollback")
    assert re.findall(r"^## `(.+)`$", page, re.MULTILINE) == names
    assert first_column(page.split("\n## ")[0]) == names
    assert "\n    northstar backfill --from DATE --to DATE\n" in section(page, "`northstar backfill`")
    assert first_column(section(page, "`northstar backfill`")) == ["--from DATE", "--to DATE"]
    assert re.findall(r"^\| (\d+) \|", section(page, "Exit codes"), re.MULTILINE) == ["0", "1", "2", "130", "143"]


def test_a_command_shows_its_arguments_and_what_may_be_left_out():
    @click.command(help="Say a greeting.\n\nAt length.")
    @click.argument("name")
    @click.option("--times", type=click.IntRange(1), required=True, help="How often.")
    @click.option("--loud", is_flag=True, help="In capitals.")
    def greet() -> None:
        """Never run."""

    page = commands_page(click.Group("group", commands={"greet": greet}))
    assert "| [`northstar greet`](#northstar-greet) | Say a greeting. |" in page
    own = section(page, "`northstar greet`")
    assert own.startswith("\n    northstar greet NAME --times INTEGER [--loud]\n\nSay a greeting. At length.\n")
    assert "| `--times INTEGER RANGE` | How often. [x>=1; required] |\n| `--loud` | In capitals. |" in own


def test_the_lineage_has_every_mart_and_core_table_and_stays_readable(manifest, current):
    drawn = nodes(lineage(current))
    for node in manifest["nodes"].values():
        if node["resource_type"] in ("model", "seed") and node["schema"] in ("core", "marts"):
            assert node["name"] in drawn
    for source in CONTRACT:
        assert f"lake/{source} → stg_{source}" in drawn
    assert len(re.findall(r'^    \w+\["', lineage(current), re.MULTILINE)) < 100


def mermaid_faults(drawing: str) -> Iterator[str]:
    """Lines that are not of the few forms that the picture is made of, and ends of arrows that are no node."""
    first, second, *lines, last, after = drawing.split("\n")
    assert (first, second, last, after) == ("```mermaid", "flowchart LR", "```", "")
    forms = (r'  subgraph group_\w+\["\w+"\]', r'    \w+\["[^"\[\]]+"\]', r"  end", r"  \w+ --> \w+")
    yield from (line for line in lines if not any(re.fullmatch(form, line) for form in forms))
    ids = re.findall(r"^    (\w+)\[", drawing, re.MULTILINE)
    assert len(set(ids)) == len(ids)
    yield from (f"{end} is no node" for edge in edges(drawing) for end in edge if end not in ids)


def test_the_lineage_is_mermaid(current):
    assert list(mermaid_faults(lineage(current))) == []


GROUPS = {
    "lake/arrivals": "ingest",
    "lake/a": "ingest",
    "lake/b": "ingest",
    "lake/c": "ingest",
    "staging/stg_a": "staging",
    "staging/stg_b": "staging",
    "staging/stg_c": "staging",
    "core/dim_a": "core",
    "core/fct_a": "core",
    "marts/mart_a": "marts",
    "marts/mart_b": "marts",
}
PARENTS = {
    "lake/a": ["lake/arrivals"],
    "lake/b": ["lake/arrivals"],
    "lake/c": ["lake/arrivals"],
    "staging/stg_a": ["lake/a"],
    "staging/stg_b": ["lake/b"],
    "staging/stg_c": ["lake/c"],
    "core/dim_a": ["staging/stg_a"],
    "core/fct_a": ["staging/stg_a", "core/dim_a", "lake/arrivals"],
    "marts/mart_a": ["core/fct_a", "core/dim_a", "elsewhere/unknown"],
    "marts/mart_b": ["core/fct_a"],
}


def test_the_lineage_joins_pairs_and_twins_but_no_marts():
    drawn = flowchart(GROUPS, PARENTS)
    assert '    staging_stg_b["lake/b → stg_b<br/>lake/c → stg_c"]\n' in drawn
    assert nodes(drawn) == [
        "lake/arrivals",
        "lake/a → stg_a",
        "lake/b → stg_b",
        "lake/c → stg_c",
        "dim_a",
        "fct_a",
        "mart_a",
        "mart_b",
    ]


def test_the_lineage_draws_no_detours():
    assert edges(flowchart(GROUPS, PARENTS)) == {
        ("lake_arrivals", "staging_stg_a"),
        ("lake_arrivals", "staging_stg_b"),
        ("staging_stg_a", "core_dim_a"),
        ("core_dim_a", "core_fct_a"),
        ("core_fct_a", "marts_mart_a"),
        ("core_fct_a", "marts_mart_b"),
    }


def test_an_area_is_one_node_as_far_as_that_makes_no_circle():
    """Of an area a and b lie side by side; c comes back into it over a core table."""
    areas = {f"intermediate/int_x__{name}": "intermediate" for name in "abc"}
    above = {
        "intermediate/int_x__a": ["staging/stg_a"],
        "intermediate/int_x__b": ["staging/stg_b", "intermediate/int_x__a"],
        "core/dim_a": ["intermediate/int_x__b"],
        "intermediate/int_x__c": ["core/dim_a"],
    }
    drawn = flowchart({**GROUPS, **areas}, {**PARENTS, **above})
    assert '    intermediate_int_x__a["int_x__a<br/>int_x__b"]\n' in drawn
    assert '    intermediate_int_x__c["int_x__c"]\n' in drawn
    assert {("intermediate_int_x__a", "core_dim_a"), ("core_dim_a", "intermediate_int_x__c")} <= edges(drawn)


def test_who_else_reads_a_source_is_drawn_below_it():
    drawn = flowchart(GROUPS, {**PARENTS, "core/dim_a": ["staging/stg_a", "lake/c"]})
    assert '    staging_stg_a["lake/a → stg_a<br/>lake/c → stg_c"]\n' in drawn
    assert ("staging_stg_a", "core_dim_a") in edges(drawn)


def test_the_order_of_what_is_given_does_not_matter():
    backwards = {key: list(reversed(PARENTS[key])) for key in reversed(PARENTS)}
    assert flowchart(dict(reversed(GROUPS.items())), backwards) == flowchart(GROUPS, PARENTS)


@pytest.fixture
def run(configured, monkeypatch):
    """The command on the settings of the session; an empty NORTHSTAR_CONFIG names no file."""
    monkeypatch.chdir(configured.home)
    runner = CliRunner(env={"NORTHSTAR_HOME": str(configured.home), "NORTHSTAR_CONFIG": ""})
    return lambda *arguments: runner.invoke(main, [str(argument) for argument in arguments])


def test_the_command_writes_checks_and_names_what_is_stale(run, tmp_path):
    assert run(tmp_path).output.splitlines() == [f"{path}: written" for path in PAGES]
    assert run(tmp_path).output.splitlines() == [f"{path}: current" for path in PAGES]
    assert run("--check", tmp_path).exit_code == 0
    page = tmp_path / REFERENCE / "configuration.md"
    changed = page.read_text(encoding="utf-8").replace("first day of a week", "last day of a week")
    page.write_text(changed, encoding="utf-8")
    (tmp_path / CORRUPTIONS).unlink()
    result = run("--check", tmp_path)
    assert result.exit_code == 1
    assert (
        result.stderr == f"{REFERENCE / 'configuration.md'} is stale; run `make docs`\n{CORRUPTIONS} is stale; run `make docs`\n"
    )
    assert page.read_text(encoding="utf-8") == changed


def test_a_page_that_cannot_be_read_is_the_users_mistake(configured, tmp_path):
    (tmp_path / REFERENCE / "marts.md").mkdir(parents=True)
    result = subprocess.run(
        [sys.executable, "-m", "orchestration.reference", "--check", str(tmp_path)],
        cwd=configured.home,
        env={**os.environ, "NORTHSTAR_HOME": str(configured.home), "NORTHSTAR_CONFIG": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert result.stderr == f"cannot read {tmp_path / REFERENCE / 'marts.md'}: Is a directory\n"
