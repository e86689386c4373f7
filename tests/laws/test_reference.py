"""The generated parts of the README are current, and what makes them does so in one way only."""

import csv
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import click
import pytest
from click.testing import CliRunner

from expectations import corruptions
from orchestration import reference, settings, transform
from orchestration.cli import cli
from orchestration.landing.contract import CONTRACT
from orchestration.mart_models import marts

NAMES = ("landing", "marts", "metrics", "mart-columns", "lineage", "configuration", "commands")


@pytest.fixture(scope="module")
def current(configured) -> dict[str, str]:
    transform.prepare(configured)
    return reference.blocks(configured)


def markers(*names: str) -> str:
    return (
        "# Northstar\n\n" + "\n".join(f"<!-- generated: {name} -->\n\nold\n<!-- /generated -->\n" for name in names) + "\nEnd.\n"
    )


def nodes(flowchart: str) -> list[str]:
    return [label for found in re.findall(r'^    \w+\["([^"]+)"\]$', flowchart, re.MULTILINE) for label in found.split("<br/>")]


def edges(flowchart: str) -> set[tuple[str, str]]:
    return set(re.findall(r"^  (\w+) --> (\w+)$", flowchart, re.MULTILINE))


def test_the_readme_is_current(repository, current):
    assert reference.stale((repository / "README.md").read_text(encoding="utf-8"), current) == [], "run `make docs`"


def test_the_metrics_in_the_documentation_of_dbt_are_those_of_the_readme(current):
    assert reference.stale(reference.METRICS_PAGE.read_text(encoding="utf-8"), {"metrics": current["metrics"]}) == [], (
        "run `make docs`"
    )
    page = reference.METRICS_PAGE.read_text(encoding="utf-8").replace("`mapu`", "`mapo`", 1)
    assert reference.stale(page, {"metrics": current["metrics"]}) == ["metrics"]


def test_the_page_of_what_the_gate_refuses_is_current(run, current, tmp_path, monkeypatch):
    assert reference.CORRUPTIONS_PAGE.read_text(encoding="utf-8") == corruptions.page(), "run `make docs`"
    readme, page = tmp_path / "README.md", tmp_path / "corruptions.md"
    readme.write_text(reference.fill(markers(*NAMES), current), encoding="utf-8")
    monkeypatch.setattr(reference, "CORRUPTIONS_PAGE", page)
    page.write_text(corruptions.page().replace("`grain.unique`", "`row_count`", 1), encoding="utf-8")
    result = run("--check", readme)
    assert (result.exit_code, result.stderr) == (1, f"{page}: stale; run `make docs`\n")
    assert f"{page}: written" in run(readme).output
    assert run("--check", readme).exit_code == 0


def test_dbt_has_the_keys_of_the_landing_contract():
    assert reference.LANDING_MACRO.read_text(encoding="utf-8") == reference.landing_macro(CONTRACT.values()), "run `make docs`"


def test_a_key_that_differs_from_the_contract_is_stale(run, current, tmp_path, monkeypatch):
    readme, macro = tmp_path / "README.md", tmp_path / "landing_keys.sql"
    readme.write_text(reference.fill(markers(*NAMES), current), encoding="utf-8")
    monkeypatch.setattr(reference, "LANDING_MACRO", macro)
    written = reference.landing_macro(CONTRACT.values())
    for planted in (
        written.replace('["ticket_id"]', '["ticket_id", "account_id"]'),
        written.replace('"latest": true', '"latest": false', 1),
        written.replace('    "feedback"', '    "feedbacks"'),
        # The contract changed, and the macro is what it was.
        reference.landing_macro(replace(source, key=source.key[:1]) for source in CONTRACT.values()),
    ):
        assert planted != written
        macro.write_text(planted, encoding="utf-8")
        result = run("--check", readme)
        assert (result.exit_code, result.stderr) == (1, f"{macro}: stale; run `make docs`\n")
        assert macro.read_text(encoding="utf-8") == planted
    assert f"{macro}: written" in run(readme).output
    assert macro.read_text(encoding="utf-8") == written
    assert run("--check", readme).exit_code == 0


def test_a_key_is_partitioned_by_its_columns():
    macro = reference.landing_macro([CONTRACT["outcomes"], CONTRACT["ad_spend"], CONTRACT["exposures"]])
    assert '"outcomes": {"key": ["account_id", "measured_at"], "latest": true, "dated": true},' in macro
    assert '"key": ["spend_date", "utm_source", "coalesce(utm_medium, \'\')",' in macro
    assert '"exposures": {"key": ["experiment_id", "unit_id", "variant"], "latest": false, "dated": false},' in macro


def test_every_metric_with_a_target_is_defined_and_shown(current):
    with (settings.DBT_PROJECT / "seeds" / "targets.csv").open(encoding="utf-8") as file:
        targets = [row["metric"] for row in csv.DictReader(file)]
    with (settings.DBT_PROJECT / "seeds" / "metrics.csv").open(encoding="utf-8") as file:
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
    assert reference.metrics([definition | counts], [target]).splitlines()[2] == row
    missing = reference.metrics([definition | counts | {"missing": "no one counts", "label_en": "A", "label_zh": "甲"}], [])
    assert missing.splitlines()[2] == "| `a` | A (甲) |  | month | not yet: no one counts | `b` |"


def test_the_blocks_are_the_same_every_time(configured, current):
    assert tuple(current) == NAMES
    assert reference.blocks(configured) == current


def test_write_fills_stale_blocks_once_and_keeps_the_rest(current, tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(markers(*NAMES), encoding="utf-8")
    assert reference.stale(readme.read_text(encoding="utf-8"), current) == list(NAMES)
    assert reference.write(readme, current) is True
    written = readme.read_text(encoding="utf-8")
    assert reference.stale(written, current) == []
    assert written.startswith("# Northstar\n\n<!-- generated: landing -->\n\n| source |")
    assert written.endswith("<!-- /generated -->\n\nEnd.\n")
    assert reference.write(readme, current) is False
    assert readme.read_text(encoding="utf-8") == written


def test_one_changed_character_is_stale():
    text = reference.fill(markers("a", "b"), {"a": "1\n", "b": "2\n"})
    assert reference.stale(text, {"a": "1\n", "b": "2\n"}) == []
    assert reference.stale(text, {"a": "1\n", "b": "3\n"}) == ["b"]
    assert reference.stale(text.replace("1\n", "1 \n"), {"a": "1\n", "b": "2\n"}) == ["a"]


def test_a_block_in_one_line_is_filled():
    assert (
        reference.fill("<!-- generated: a --><!-- /generated -->", {"a": r"\1"})
        == "<!-- generated: a -->\n\n\\1\n<!-- /generated -->"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (markers("a", "c"), "unknown block 'c'"),
        (markers("a"), "lacks the generated block 'b'"),
        (markers("a", "b", "a"), "'a' twice"),
        ("<!-- generated: a -->\n" + markers("b"), "'a' of the README is not closed"),
        (markers("a") + "<!-- generated: b -->\n", "'b' of the README is not closed"),
        ("<!-- /generated -->\n" + markers("a", "b"), "was not opened"),
    ],
)
def test_a_marker_that_is_wrong_is_named(text, said):
    for judge in (reference.fill, reference.stale):
        with pytest.raises(reference.MarkerError, match=re.escape(said)):
            judge(text, {"a": "1\n", "b": "2\n"})


def test_write_changes_nothing_when_a_marker_is_wrong(current, tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(markers(*NAMES, "weather"), encoding="utf-8")
    with pytest.raises(reference.MarkerError, match="'weather'"):
        reference.write(readme, current)
    assert readme.read_text(encoding="utf-8") == markers(*NAMES, "weather")


def test_the_landing_table_has_every_source_and_column(current):
    rows = current["landing"].splitlines()[2:]
    assert len(rows) == len(CONTRACT)
    for row, source in zip(rows, CONTRACT.values(), strict=True):
        assert row.startswith(f"| `{source.name}` | {', '.join(source.key)}")
        for column in source.columns:
            assert (f"**{column.name}** (" if column.required else f" {column.name} (") in row
    assert "**status** (succeeded, failed, refunded)" in current["landing"]
    assert "city_tier (integer, 1 to 5)" in current["landing"]
    assert "at least one of anonymous_id, user_id" in current["landing"]


def test_the_mart_tables_have_every_mart_and_column(manifest, current):
    assert len(current["marts"].splitlines()) == 2 + len(marts(manifest))
    for name, node in marts(manifest).items():
        assert f"| `{name}` | {', '.join(node['config']['meta']['grain'][:-1])}" in current["marts"]
        details = current["mart-columns"].split(f"<code>{name}</code>")[1].split("</details>")[0]
        assert re.findall(r"^\| `(\w+)` \|", details, re.MULTILINE) == list(node["columns"])


def test_the_grain_sentence_is_the_first_without_its_opening():
    assert reference.grain_sentence("One row per a and\n b. Of them c.\n") == "a and b"


def test_a_bar_within_a_cell_is_escaped():
    node = {"columns": {"a": {"name": "a", "data_type": "varchar", "description": "x | y"}}}
    assert r"| `a` | varchar | x \| y |" in reference.mart_columns({"mart_a": node})


def test_the_configuration_has_every_key_and_the_variables_that_are_read(current, tmp_path):
    class Recorded(dict):
        def get(self, key, default=None):
            asked.add(key)
            return default

    asked: set[str] = set()
    settings.load(Recorded(), directory=tmp_path)
    assert asked == set(reference.ENVIRONMENT)
    named = re.findall(r"^\| `(\w+)` \|", current["configuration"], re.MULTILINE)
    assert named == [*settings.Config.model_fields, *reference.ENVIRONMENT]
    assert all(field.description for field in settings.Config.model_fields.values())
    assert '| `reporting_timezone` | `"Asia/Shanghai"` |' in current["configuration"]


def test_the_defaults_can_be_copied_into_a_configuration_file(current, tmp_path):
    rows = re.findall(r"^\| `(\w+)` \| `(.+?)` \|", current["configuration"], re.MULTILINE)
    keys = [f"{key} = {default}" for key, default in rows if key in settings.Config.model_fields]
    (tmp_path / "northstar.toml").write_text("\n".join(keys), encoding="utf-8")
    assert settings.load({}, directory=tmp_path).config == settings.Config()


def test_the_commands_are_those_of_the_command_line(current):
    named = re.findall(r"^\| `northstar ([\w-]+)", current["commands"], re.MULTILINE)
    assert named == list(cli.commands)
    assert "| `northstar backfill --from DATE --to DATE` |" in current["commands"]


def test_a_command_shows_its_arguments_and_what_may_be_left_out():
    @click.command(help="Say a greeting.\n\nAt length.")
    @click.argument("name")
    @click.option("--times", type=click.IntRange(1), required=True)
    @click.option("--loud", is_flag=True)
    def greet() -> None:
        """Never run."""

    group = click.Group("group", commands={"greet": greet})
    assert reference.commands(group).splitlines()[2] == "| `northstar greet NAME --times INTEGER [--loud]` | Say a greeting. |"


def test_the_lineage_has_every_mart_and_core_table_and_stays_readable(manifest, current):
    drawn = nodes(current["lineage"])
    for node in manifest["nodes"].values():
        if node["resource_type"] in ("model", "seed") and node["schema"] in ("core", "marts"):
            assert node["name"] in drawn
    for source in CONTRACT:
        assert f"lake/{source} → stg_{source}" in drawn
    assert len(re.findall(r'^    \w+\["', current["lineage"], re.MULTILINE)) < 90


def mermaid_faults(flowchart: str) -> Iterator[str]:
    """Lines that are not of the few forms that the picture is made of, and ends of arrows that are no node."""
    first, second, *lines, last, after = flowchart.split("\n")
    assert (first, second, last, after) == ("```mermaid", "flowchart LR", "```", "")
    forms = (r'  subgraph group_\w+\["\w+"\]', r'    \w+\["[^"\[\]]+"\]', r"  end", r"  \w+ --> \w+")
    yield from (line for line in lines if not any(re.fullmatch(form, line) for form in forms))
    ids = re.findall(r"^    (\w+)\[", flowchart, re.MULTILINE)
    assert len(set(ids)) == len(ids)
    yield from (f"{end} is no node" for edge in edges(flowchart) for end in edge if end not in ids)


def test_the_lineage_is_mermaid(current):
    assert list(mermaid_faults(current["lineage"])) == []


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
    drawn = reference.flowchart(GROUPS, PARENTS)
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
    assert edges(reference.flowchart(GROUPS, PARENTS)) == {
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
    drawn = reference.flowchart({**GROUPS, **areas}, {**PARENTS, **above})
    assert '    intermediate_int_x__a["int_x__a<br/>int_x__b"]\n' in drawn
    assert '    intermediate_int_x__c["int_x__c"]\n' in drawn
    assert {("intermediate_int_x__a", "core_dim_a"), ("core_dim_a", "intermediate_int_x__c")} <= edges(drawn)


def test_who_else_reads_a_source_is_drawn_below_it():
    drawn = reference.flowchart(GROUPS, {**PARENTS, "core/dim_a": ["staging/stg_a", "lake/c"]})
    assert '    staging_stg_a["lake/a → stg_a<br/>lake/c → stg_c"]\n' in drawn
    assert ("staging_stg_a", "core_dim_a") in edges(drawn)


def test_the_order_of_what_is_given_does_not_matter():
    backwards = {key: list(reversed(PARENTS[key])) for key in reversed(PARENTS)}
    assert reference.flowchart(dict(reversed(GROUPS.items())), backwards) == reference.flowchart(GROUPS, PARENTS)


@pytest.fixture
def run(configured, monkeypatch):
    """The command on the settings of the session; an empty NORTHSTAR_CONFIG names no file."""
    monkeypatch.chdir(configured.home)
    runner = CliRunner(env={"NORTHSTAR_HOME": str(configured.home), "NORTHSTAR_CONFIG": ""})
    return lambda *arguments: runner.invoke(reference.main, [str(argument) for argument in arguments])


def test_the_command_writes_checks_and_names_what_is_stale(run, tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(markers(*NAMES), encoding="utf-8")
    macro = f"{reference.LANDING_MACRO}: is current\n"
    page = f"{reference.METRICS_PAGE}: is current\n{reference.CORRUPTIONS_PAGE}: is current\n"
    assert run(readme).output == f"{macro}{readme}: written\n{page}"
    assert run(readme).output == f"{macro}{readme}: is current\n{page}"
    assert run("--check", readme).exit_code == 0
    changed = readme.read_text(encoding="utf-8").replace("first day of a week", "last day of a week")
    readme.write_text(changed, encoding="utf-8")
    result = run("--check", readme)
    assert (result.exit_code, result.stderr) == (1, f"{readme}: stale are configuration; run `make docs`\n")
    assert readme.read_text(encoding="utf-8") == changed


def test_a_wrong_marker_is_the_users_mistake(run, tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(markers(*NAMES[1:]), encoding="utf-8")
    for arguments in ((readme,), ("--check", readme)):
        result = run(*arguments)
        assert result.exit_code == 2
        assert result.stderr.startswith("the README lacks the generated block 'landing'")


def test_a_readme_that_is_not_there_is_the_users_mistake(configured, tmp_path):
    result = subprocess.run(
        [sys.executable, "-m", "orchestration.reference", str(tmp_path / "README.md")],
        cwd=configured.home,
        env={**os.environ, "NORTHSTAR_HOME": str(configured.home), "NORTHSTAR_CONFIG": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert result.stderr == f"{tmp_path / 'README.md'} cannot be read: No such file or directory\n"
