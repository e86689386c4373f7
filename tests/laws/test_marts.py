"""What every model, and above all every mart, must say about itself; and that what is said twice is said alike.

A law is a function from the dbt manifest to its violations in words. Each is applied to the project as it is, and to a copy
of the manifest with one fault in it.
"""

import csv
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from expectations.registry import SUITES
from expectations.suites import retention, revenue
from orchestration.base.pseudonyms import PUBLISHED
from orchestration.config.filters import COLUMNS as FILTER_COLUMNS
from orchestration.config.values import TEAMS
from orchestration.landing.contract import CONTRACT, LAKE_COLUMNS
from orchestration.marts import mart_nodes, read_specs
from orchestration.warehouse.inputs import INPUTS

# Mart → module of tests/oracles that computes it another way.
ORACLES = {
    "mart_churn__account": "churn.py",
    "mart_data_quality__daily": "quality.py",
    "mart_engagement__daily": "engagement.py",
    "mart_funnel__entry": "funnel.py",
    "mart_funnel_exits__weekly": "funnel_losses.py",
    "mart_funnel_opportunities__current": "funnel_losses.py",
    "mart_health__account": "health.py",
    "mart_ltv__cohort": "ltv.py",
    "mart_ltv__customer": "clv.py",
    "mart_ltv_cac__channel_month": "ltv_cac.py",
    "mart_metric__daily": "metrics.py",
    "mart_metric_tree__current": "metrics.py",
    "mart_mrr__month": "mrr.py",
    "mart_restatements__release": "restatements.py",
    "mart_retention__cohort": "retention.py",
}

# Columns of ids that are nobody's, and are published as they are.
HARMLESS_IDS = {"release_id", "previous_release_id", "experiment_id"}

MAXIMUM_MODEL_LINES = 150

Manifest = Mapping[str, Any]


def every_model_is_described(manifest: Manifest) -> list[str]:
    return [f"{node['name']} has no description" for node in models(manifest) if not node["description"].strip()]


def every_mart_states_its_grain(manifest: Manifest) -> list[str]:
    found = []
    for name, node in mart_nodes(manifest).items():
        grain = node["config"]["meta"].get("grain", [])
        first = re.split(r"(?<=\.)\s", " ".join(node["description"].split()), maxsplit=1)[0]
        if not first.startswith("One row per "):
            found.append(f"the description of {name} does not begin with 'One row per '")
        elif missing := [column for column in grain if not re.search(rf"\b{column}\b", first)]:
            found.append(f"the first sentence about {name} does not name {', '.join(missing)} of its grain")
        if not grain:
            found.append(f"{name} has no meta.grain")
        elif unknown := [column for column in grain if column not in node["columns"]]:
            found.append(f"the grain of {name} names {', '.join(unknown)}, which it does not have")
    return found


def every_mart_tests_its_grain(manifest: Manifest) -> list[str]:
    tested = {
        (node["attached_node"], tuple(node["test_metadata"]["kwargs"]["columns"]))
        for node in manifest["nodes"].values()
        if node["resource_type"] == "test" and (node.get("test_metadata") or {}).get("name") == "unique_key"
    }
    return [
        f"no unique_key test of {name} is on its grain"
        for name, node in mart_nodes(manifest).items()
        if (node["unique_id"], tuple(node["config"]["meta"].get("grain", ()))) not in tested
    ]


def every_model_has_an_owner(manifest: Manifest) -> list[str]:
    return [
        f"{node['name']} has no team as meta.owner, as dbt_project.yml gives it to all"
        for node in manifest["nodes"].values()
        if node["resource_type"] in {"model", "seed"} and node["config"]["meta"].get("owner") not in TEAMS
    ]


def every_mart_that_may_be_empty_names_a_known_input(manifest: Manifest) -> list[str]:
    return [
        f"{name} is filled by {spec.filled_by}, which is no input"
        for name, spec in read_specs(manifest).items()
        if spec.filled_by is not None and spec.filled_by not in INPUTS
    ]


def every_mart_requires_sources_that_it_reads(manifest: Manifest) -> list[str]:
    found = []
    for name, node in mart_nodes(manifest).items():
        required = node["config"]["meta"].get("requires", [])
        if not required:
            found.append(f"{name} has no meta.requires")
        read = {source["name"] for source in sources_above(manifest, node) if source["source_name"] == "lake"}
        for source in required:
            if source not in CONTRACT:
                found.append(f"{name} requires {source}, which is no source")
            # A mart that reads nothing is built empty, and filled in the candidate from the other marts.
            elif source not in read and node["depends_on"]["nodes"]:
                found.append(f"{name} requires {source}, which nothing above it reads")
    return found


def every_mart_says_which_figures_can_be_restated(manifest: Manifest) -> list[str]:
    found = []
    for name, node in mart_nodes(manifest).items():
        told = node["config"]["meta"].get("restated")
        if isinstance(told, str) and told.strip():
            continue
        if not isinstance(told, Mapping) or not told.keys() >= {"start", "measures", "facts"}:
            found.append(f"{name} has no meta.restated with start, measures and facts, nor a reason why nothing can be")
            continue
        if told.get("length") not in {None, "day", "week", "month", "quarter"} or ("length" in told) == ("length_column" in told):
            found.append(f"meta.restated of {name} needs either the length of its periods or a length_column")
        named = [told["start"], *told["measures"], *told.get("series", ())]
        named += [told[key] for key in ("complete", "length_column") if key in told]
        if unknown := [column for column in named if column not in node["columns"]]:
            found.append(f"meta.restated of {name} names {', '.join(unknown)}, which it does not have")
        read = {source["name"] for source in sources_above(manifest, node) if source["source_name"] == "lake"}
        if unknown := [source for source in told["facts"] if source not in read]:
            found.append(f"meta.restated of {name} names {', '.join(unknown)}, which nothing above it reads")
    return found


def every_mart_has_a_contract(manifest: Manifest) -> list[str]:
    found = []
    for name, node in mart_nodes(manifest).items():
        if not node["config"]["contract"]["enforced"]:
            found.append(f"the contract of {name} is not enforced")
        if not node["columns"]:
            found.append(f"{name} declares no columns")
        for column in node["columns"].values():
            if not column["data_type"]:
                found.append(f"{name}.{column['name']} has no data_type")
            if not column["description"].strip():
                found.append(f"{name}.{column['name']} has no description")
    return found


def every_mart_has_a_suite(manifest: Manifest) -> list[str]:
    found = sorted(mart_nodes(manifest).keys() ^ SUITES.keys())
    return [f"{name} is either no mart or has no suite of expectations" for name in found]


def every_mart_has_an_oracle(manifest: Manifest) -> list[str]:
    found = sorted(mart_nodes(manifest).keys() ^ ORACLES.keys())
    return [f"{name} is either no mart or has no oracle" for name in found]


def ids_are_published_as_pseudonyms(manifest: Manifest) -> list[str]:
    found = []
    declared = {name: spec.pseudonyms for name, spec in read_specs(manifest).items()}
    for name, node in mart_nodes(manifest).items():
        for column in node["columns"]:
            domain = declared.get(name, {}).get(column)
            if domain is None and column.endswith("_id") and column not in HARMLESS_IDS:
                found.append(f"{name}.{column} is an id, and no pseudonym of {', '.join(PUBLISHED)}")
            elif domain is not None and domain not in PUBLISHED:
                found.append(f"{name}.{column} is a pseudonym of {domain}; known are {', '.join(PUBLISHED)}")
    return found


def marts_are_the_last_layer(manifest: Manifest) -> list[str]:
    found = []
    nodes = {**manifest["nodes"], **manifest["sources"]}
    for node in models(manifest):
        for parent in (nodes[unique_id] for unique_id in node["depends_on"]["nodes"]):
            if parent["resource_type"] == "source":
                # `control` says what a night does: every layer may ask it.
                if parent["source_name"] == "lake" and node["schema"] != "staging":
                    found.append(f"{node['name']} reads lake.{parent['name']}, which staging alone may")
            # A mart may sum up what others publish; nothing before the marts may know them.
            elif parent["schema"] == "marts" and node["schema"] != "marts":
                found.append(f"{node['name']} reads the mart {parent['name']}")
            elif parent["schema"] == "staging" and node["schema"] == "marts":
                found.append(f"{node['name']} reads {parent['name']} of staging")
            elif node["schema"] == "staging" and parent["resource_type"] == "model":
                found.append(f"{node['name']} of staging reads {parent['name']}")
    return found


def models_are_named_after_their_layer(manifest: Manifest) -> list[str]:
    prefixes = {"staging": ("stg_",), "intermediate": ("int_",), "core": ("fct_", "dim_"), "marts": ("mart_",)}
    return [
        f"{node['name']} lies in {node['schema']}; names there begin with {' or '.join(prefixes[node['schema']])}"
        for node in models(manifest)
        if not node["name"].startswith(prefixes[node["schema"]])
    ]


def singular_tests_state_a_fact(manifest: Manifest) -> list[str]:
    return [
        f"the test {node['name']} is not named assert_<fact>"
        for node in manifest["nodes"].values()
        if node["resource_type"] == "test" and not node.get("test_metadata") and not node["name"].startswith("assert_")
    ]


def lake_sources_equal_the_landing_contract(manifest: Manifest) -> list[str]:
    declared = {node["name"]: node for node in manifest["sources"].values() if node["source_name"] == "lake"}
    found = [f"lake.{name} is in the contract or in dbt, not in both" for name in sorted(declared.keys() ^ CONTRACT.keys())]
    for name in declared.keys() & CONTRACT.keys():
        columns = [(column["name"], column["data_type"], column["description"]) for column in declared[name]["columns"].values()]
        wanted = [(column.name, column.type.sql, column.description) for column in CONTRACT[name].columns] + list(LAKE_COLUMNS)
        if columns != wanted:
            differing = [column[0] for column in [*columns, *wanted] if column not in columns or column not in wanted]
            found.append(
                f"lake.{name} differs from the contract: {', '.join(dict.fromkeys(differing)) or 'the order of its columns'}"
            )
    return found


def models(manifest: Manifest) -> list[dict[str, Any]]:
    return [node for node in manifest["nodes"].values() if node["resource_type"] == "model"]


def sources_above(manifest: Manifest, node: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every source from which a model is made, at whatever distance."""
    waiting, seen = list(node["depends_on"]["nodes"]), set()
    while waiting:
        unique_id = waiting.pop()
        if unique_id not in seen:
            seen.add(unique_id)
            waiting += manifest["nodes"].get(unique_id, {}).get("depends_on", {}).get("nodes", [])
    return [manifest["sources"][unique_id] for unique_id in sorted(seen) if unique_id in manifest["sources"]]


LAWS = [
    every_model_is_described,
    every_mart_states_its_grain,
    every_mart_tests_its_grain,
    every_model_has_an_owner,
    every_mart_that_may_be_empty_names_a_known_input,
    every_mart_requires_sources_that_it_reads,
    every_mart_says_which_figures_can_be_restated,
    every_mart_has_a_contract,
    every_mart_has_a_suite,
    every_mart_has_an_oracle,
    ids_are_published_as_pseudonyms,
    marts_are_the_last_layer,
    models_are_named_after_their_layer,
    singular_tests_state_a_fact,
    lake_sources_equal_the_landing_contract,
]

_MART = "model.northstar.mart_funnel__entry"
_CORE = "model.northstar.dim_persons"
_STAGING = "model.northstar.stg_users"
_SINGULAR = "test.northstar.assert_funnel_never_rises"
_EVENTS = "source.northstar.lake.events"


def _set(*path, to):
    """A fault: the value at a path of the node is another one."""
    *parents, last = path

    def change(node):
        for key in parents:
            node = node[key]
        node[last] = to

    return change


def _meta(**entries):
    """A fault: entries of the node's meta are other ones."""
    return lambda node: node["config"]["meta"].update(entries)


def _restated(**entries):
    """A fault: entries of what the node says of its restatements are other ones."""
    return lambda node: node["config"]["meta"]["restated"].update(entries)


def _reads(unique_id):
    """A fault: the node reads one more."""
    return lambda node: node["depends_on"]["nodes"].append(unique_id)


def _loses(column):
    """A fault: the node lacks a column."""
    return lambda node: node["columns"].pop(column)


def _gains(column, pseudonym=None):
    """A fault: the node has one more column, declared a pseudonym of that domain or of none."""
    meta = {} if pseudonym is None else {"pseudonym": pseudonym}
    return lambda node: node["columns"].update({column: {"name": column, "config": {"meta": meta}}})


def _swap_columns(node):
    first, second, *others = node["columns"].items()
    node["columns"] = dict([second, first, *others])


# Law → the node to break, how, and what the violation must say.
FAULTS = [
    (every_model_is_described, _CORE, _set("description", to=" "), "dim_persons has no description"),
    (every_mart_states_its_grain, _MART, _set("description", to="A funnel."), "does not begin with 'One row per '"),
    (every_mart_states_its_grain, _MART, _set("description", to="One row per funnel."), "does not name entry_grain"),
    (every_mart_states_its_grain, _MART, _meta(grain=[]), "has no meta.grain"),
    (every_mart_states_its_grain, _MART, _loses("segment"), "names segment, which it does not have"),
    (every_mart_tests_its_grain, _MART, _meta(grain=["funnel"]), "no unique_key test of mart_funnel__entry"),
    (every_model_has_an_owner, _MART, _set("config", "meta", to={}), "no team as meta.owner"),
    (every_model_has_an_owner, _CORE, _meta(owner="grwth"), "dim_persons has no team as meta.owner"),
    (every_mart_that_may_be_empty_names_a_known_input, _MART, _meta(filled_by="visits"), "visits, which is no input"),
    (every_mart_requires_sources_that_it_reads, _MART, _meta(requires=[]), "has no meta.requires"),
    (every_mart_requires_sources_that_it_reads, _MART, _meta(requires=["ordres"]), "ordres, which is no source"),
    (every_mart_requires_sources_that_it_reads, _MART, _meta(requires=["exposures"]), "exposures, which nothing above it reads"),
    (every_mart_says_which_figures_can_be_restated, _MART, _meta(restated=" "), "entry has no meta.restated"),
    (
        every_mart_says_which_figures_can_be_restated,
        _MART,
        _meta(restated={"start": "entry_start"}),
        "entry has no meta.restated",
    ),
    (every_mart_says_which_figures_can_be_restated, _MART, _restated(length="day"), "either the length of its periods or"),
    (every_mart_says_which_figures_can_be_restated, _MART, _restated(measures=["persons"]), "persons, which it does not have"),
    (every_mart_says_which_figures_can_be_restated, _MART, _restated(complete="is_over"), "is_over, which it does not have"),
    (every_mart_says_which_figures_can_be_restated, _MART, _restated(facts=["exposures"]), "exposures, which nothing above"),
    (every_mart_has_a_contract, _MART, _set("config", "contract", "enforced", to=False), "is not enforced"),
    (every_mart_has_a_contract, _MART, _set("columns", "step", "data_type", to=None), "entry.step has no data_type"),
    (every_mart_has_a_contract, _MART, _set("columns", "step", "description", to=""), "entry.step has no description"),
    (every_mart_has_a_contract, _MART, _set("columns", to={}), "declares no columns"),
    (every_mart_has_a_suite, _MART, _set("name", to="mart_funnel__new"), "mart_funnel__new is either"),
    (every_mart_has_an_oracle, _MART, _set("name", to="mart_funnel__new"), "mart_funnel__new is either"),
    (ids_are_published_as_pseudonyms, _MART, _gains("person_id"), "entry.person_id is an id, and no pseudonym of person"),
    (ids_are_published_as_pseudonyms, _MART, _gains("person_id", "planet"), "entry.person_id is a pseudonym of planet"),
    (marts_are_the_last_layer, _MART, _reads(_STAGING), "mart_funnel__entry reads stg_users of staging"),
    (marts_are_the_last_layer, _MART, _reads(_EVENTS), "mart_funnel__entry reads lake.events"),
    (marts_are_the_last_layer, _CORE, _reads(_MART), "dim_persons reads the mart mart_funnel__entry"),
    (marts_are_the_last_layer, _CORE, _reads(_EVENTS), "dim_persons reads lake.events"),
    (marts_are_the_last_layer, _STAGING, _reads(_CORE), "stg_users of staging reads dim_persons"),
    (models_are_named_after_their_layer, _CORE, _set("name", to="persons"), "persons lies in core"),
    (singular_tests_state_a_fact, _SINGULAR, _set("name", to="funnel"), "test funnel is not named"),
    (lake_sources_equal_the_landing_contract, _EVENTS, _loses("extra"), "lake.events differs from the contract: extra"),
    (lake_sources_equal_the_landing_contract, _EVENTS, _swap_columns, "the order of its columns"),
    (lake_sources_equal_the_landing_contract, _EVENTS, _set("columns", "value", "data_type", to="DOUBLE"), "contract: value"),
    (lake_sources_equal_the_landing_contract, _EVENTS, _set("name", to="clicks"), "lake.clicks is in the contract or in dbt"),
]


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_the_project_keeps_the_law(manifest, law):
    assert mart_nodes(manifest), "the project has no marts, so that every law would hold"
    assert law(manifest) == []


@pytest.mark.parametrize(
    ("law", "unique_id", "fault", "said"), FAULTS, ids=[f"{fault[0].__name__}-{number}" for number, fault in enumerate(FAULTS)]
)
def test_the_law_finds_the_fault(broken, law, unique_id, fault, said):
    manifest, node = broken(unique_id)
    fault(node)
    assert any(said in violation for violation in law(manifest)), law(manifest)


def test_every_law_has_a_fault_that_it_finds():
    assert {law for law, *_ in FAULTS} == set(LAWS)


@pytest.mark.parametrize("module", sorted(ORACLES.values()))
def test_the_oracle_is_there_and_owes_nothing_to_what_it_judges(repository, module):
    text = (repository / "tests" / "oracles" / module).read_text(encoding="utf-8")
    assert not re.search(r"^\s*(?:from|import) (?:dbt|expectations|ml|dagster)\b", text, re.MULTILINE)


def long_files(folder: Path) -> list[str]:
    return [
        f"{path.name} has {lines} lines"
        for path in sorted(folder.rglob("*.sql"))
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > MAXIMUM_MODEL_LINES
    ]


def test_models_are_short(repository):
    assert long_files(repository / "dbt_project" / "models") == []


def test_a_long_model_is_found(tmp_path):
    (tmp_path / "marts").mkdir()
    (tmp_path / "marts" / "just.sql").write_text("select 1\n" * MAXIMUM_MODEL_LINES)
    (tmp_path / "marts" / "long.sql").write_text("select 1\n" * (MAXIMUM_MODEL_LINES + 1))
    assert long_files(tmp_path) == ["long.sql has 151 lines"]


def bracket_bounds(seed: Path) -> dict[int, int]:
    with seed.open(encoding="utf-8", newline="") as file:
        return {int(row["period_index"]): int(row["last_index"]) for row in csv.DictReader(file) if row["rule"] == "bracket"}


def test_the_retention_suite_repeats_the_brackets_of_the_seed(repository):
    assert bracket_bounds(repository / "dbt_project" / "seeds" / "retention_periods.csv") == retention._BRACKETS


def test_a_bracket_of_the_seed_that_the_suite_lacks_is_seen(repository, tmp_path):
    seed = tmp_path / "retention_periods.csv"
    shipped = (repository / "dbt_project" / "seeds" / "retention_periods.csv").read_text(encoding="utf-8")
    seed.write_text(f"{shipped.rstrip()}\nbracket,day,91,180\n")
    assert bracket_bounds(seed) == {**retention._BRACKETS, 91: 180}


def ruled_channels(seed: Path) -> set[str]:
    with seed.open(encoding="utf-8", newline="") as file:
        return {row["channel"] for row in csv.DictReader(file)}


def test_the_revenue_suite_repeats_the_channels_of_the_seed(repository):
    assert ruled_channels(repository / "dbt_project" / "seeds" / "channel_rules.csv") == {*revenue.CHANNELS} - {"all", "(none)"}


def test_a_channel_of_the_seed_that_the_suite_lacks_is_seen(repository, tmp_path):
    seed = tmp_path / "channel_rules.csv"
    shipped = (repository / "dbt_project" / "seeds" / "channel_rules.csv").read_text(encoding="utf-8")
    seed.write_text(f"{shipped.rstrip()}\n1000,podcast,,,,,heard of it\n")
    assert ruled_channels(seed) - {*revenue.CHANNELS} == {"podcast"}


def filtered_columns(macro: Path) -> list[str]:
    loop = re.search(r"for column in \[(.*?)\]", macro.read_text(encoding="utf-8"), re.DOTALL)
    assert loop is not None
    return re.findall(r'"(\w+)"', loop[1])


def test_every_column_that_a_filter_may_name_is_compared(repository):
    """One that the macro lacks would be looked up among the properties, and never match."""
    assert filtered_columns(repository / "dbt_project/macros/event_attribute.sql") == list(FILTER_COLUMNS)


def test_a_column_that_the_macro_lacks_is_seen(repository, tmp_path):
    macro = tmp_path / "event_attribute.sql"
    macro.write_text((repository / "dbt_project/macros/event_attribute.sql").read_text().replace('"feature", ', ""))
    assert filtered_columns(macro) == [name for name in FILTER_COLUMNS if name != "feature"]
