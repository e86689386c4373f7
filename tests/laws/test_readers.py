"""Who reads the dbt project, and what they read: exposures, selectors and the freshness of sources against the manifest."""

import re
from collections.abc import Mapping
from typing import Any

import pytest

from orchestration.defs.transform.assets import area_of
from orchestration.landing.contract import CONTRACT
from orchestration.marts import mart_nodes

Manifest = Mapping[str, Any]

# Sources that land when there is a reason to: that they are silent says nothing.
ON_DEMAND = {"erasures", "exposures", "outcomes"}
STAGES = {"nightly", "before_scores", "after_scores"}


def exposures_read_marts_alone(manifest: Manifest) -> list[str]:
    marts = {node["unique_id"] for node in mart_nodes(manifest).values()}
    return [
        f"{exposure['name']} reads {unique_id}, which is not published"
        for exposure in manifest["exposures"].values()
        for unique_id in exposure["depends_on"]["nodes"]
        if unique_id not in marts
    ]


def every_mart_has_a_reader(manifest: Manifest) -> list[str]:
    read = {unique_id for exposure in manifest["exposures"].values() for unique_id in exposure["depends_on"]["nodes"]}
    return [f"no exposure reads {name}" for name, node in mart_nodes(manifest).items() if node["unique_id"] not in read]


def exposures_are_owned_by_teams(manifest: Manifest) -> list[str]:
    return [
        f"{exposure['name']} is owned by {exposure['owner']}, which is not the name of a team"
        for exposure in manifest["exposures"].values()
        if exposure["owner"].get("email") or not re.fullmatch(r"[a-z_]+", exposure["owner"].get("name") or "")
    ]


def every_area_has_a_selector(manifest: Manifest) -> list[str]:
    models = [node for node in manifest["nodes"].values() if node["resource_type"] == "model" and node["schema"] != "staging"]
    areas = {area_of(node) for node in models}
    return [f"{name} is an area or a selector, not both" for name in sorted(areas ^ (manifest["selectors"].keys() - STAGES))]


def sources_are_fresh_unless_they_land_on_demand(manifest: Manifest) -> list[str]:
    found = []
    for node in manifest["sources"].values():
        if node["source_name"] != "lake":
            continue
        limit = (node["freshness"] or {}).get("warn_after") or {}
        has_limit = limit.get("count") is not None and "arrived_date" in (node["loaded_at_field"] or "")
        if has_limit == (node["name"] in ON_DEMAND):
            found.append(f"lake.{node['name']} {'has a limit of freshness' if has_limit else 'has no limit of freshness'}")
    return found


LAWS = [
    exposures_read_marts_alone,
    every_mart_has_a_reader,
    exposures_are_owned_by_teams,
    every_area_has_a_selector,
    sources_are_fresh_unless_they_land_on_demand,
]

_REVIEW = "exposure.northstar.executive_review"
FAULTS = [
    (
        exposures_read_marts_alone,
        _REVIEW,
        lambda node: node["depends_on"]["nodes"].append("model.northstar.dim_persons"),
        "executive_review reads model.northstar.dim_persons",
    ),
    (
        every_mart_has_a_reader,
        "model.northstar.mart_mrr__month",
        lambda node: node.update(name="mart_new", unique_id="model.northstar.mart_new"),
        "no exposure reads mart_new",
    ),
    (
        exposures_are_owned_by_teams,
        _REVIEW,
        lambda node: node["owner"].update(email="a@b.example"),
        "executive_review is owned by",
    ),
    (
        every_area_has_a_selector,
        "model.northstar.mart_mrr__month",
        lambda node: node.update(fqn=["northstar", "marts", "money_matters", "mart_mrr__month"]),
        "money_matters is an area or a selector",
    ),
    (
        sources_are_fresh_unless_they_land_on_demand,
        "source.northstar.lake.events",
        lambda node: node.update(freshness=None),
        "lake.events has no limit",
    ),
]


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_readers_keep_the_law(manifest, law):
    assert manifest["exposures"]
    assert law(manifest) == []


@pytest.mark.parametrize(("law", "unique_id", "fault", "said"), FAULTS, ids=[fault[0].__name__ for fault in FAULTS])
def test_the_law_of_readers_finds_the_fault(broken, law, unique_id, fault, said):
    manifest, node = broken(unique_id)
    fault(node)
    assert any(said in violation for violation in law(manifest)), law(manifest)


def test_every_law_of_readers_has_a_fault_that_it_finds():
    assert {law for law, *_ in FAULTS} == set(LAWS)


def test_sources_that_land_on_demand_are_in_the_contract():
    assert CONTRACT.keys() >= ON_DEMAND
