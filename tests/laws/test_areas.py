"""Which area of the dbt project may read which, and where staff and bots are removed.

A law is a function from the dbt manifest to its violations in words, applied to the project as it is and to a copy with one
fault in it. An area is a folder below a layer: `models/intermediate/<area>` and `models/marts/<area>` are the same.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any

import pytest

from orchestration.defs.transform.assets import area_of

Manifest = Mapping[str, Any]
Node = Mapping[str, Any]

FOUNDATION = {"accounts", "activity", "events", "identity", "money", "sessions"}
# What removes staff and bots, and what counts them.
REMOVES = FOUNDATION | {"core", "quality", "staging"}
# Of what is removed below core, who may still know it, and why.
KNOWS = {"int_funnel__step_events": "an incremental extract of the events, made before persons are known: it leaves bots out"}
MARKS = ("is_bot", "is_internal", "int_identity__internal_persons", "int_identity__internal_accounts")


def areas_read_what_they_may(manifest: Manifest) -> list[str]:
    found = []
    for node, parent in readings(manifest):
        here, there = place_of(node), place_of(parent)
        if here in FOUNDATION:
            may = FOUNDATION | {"staging"}
        elif here == "core":
            may = FOUNDATION | {"core", "staging"}
        else:
            may = FOUNDATION | {"core", here, *declared(node)}
        if there not in may:
            found.append(f"{node['name']} of {here} reads {parent['name']} of {there}")
    return found


def areas_form_no_circle(manifest: Manifest) -> list[str]:
    graph = defaultdict(set)
    for node, parent in readings(manifest):
        if place_of(node) != place_of(parent):
            graph[place_of(node)].add(place_of(parent))
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return [f"areas form a circle: {' < '.join(error.args[1])}"]
    return []


def declared_readings_are_needed(manifest: Manifest) -> list[str]:
    read = defaultdict(set)
    for node, parent in readings(manifest):
        read[folder_of(node)].add(place_of(parent))
    wanted = {folder_of(node): set(declared(node)) for node in models(manifest)}
    return [
        f"{folder} declares that it reads {area}, and does not"
        for folder, areas in sorted(wanted.items())
        for area in sorted(areas - read[folder])
    ]


def the_foundation_is_the_one_that_was_laid(manifest: Manifest) -> list[str]:
    laid = {area_of(node) for node in models(manifest) if node["config"]["meta"].get("is_foundation")}
    return [f"{area} is foundation by its meta or by this law, not by both" for area in sorted(laid ^ FOUNDATION)]


def staff_and_bots_are_removed_once(manifest: Manifest) -> list[str]:
    return [
        f"{node['name']} of {place_of(node)} names {mark}, which core has done away with"
        for node in models(manifest)
        if place_of(node) not in REMOVES and node["name"] not in KNOWS
        for mark in MARKS
        if mark in node["raw_code"]
    ]


def every_model_and_seed_has_an_area(manifest: Manifest) -> list[str]:
    return [
        f"{node['name']} has no area: give its folder or its meta one"
        for node in manifest["nodes"].values()
        if node["resource_type"] in ("model", "seed") and area_of(node) in (node["fqn"][0], "staging", "intermediate", "marts")
    ]


def models(manifest: Manifest) -> list[Node]:
    return [node for node in manifest["nodes"].values() if node["resource_type"] == "model"]


def readings(manifest: Manifest) -> Iterator[tuple[Node, Node]]:
    """Each model with each model that it reads. Sources say what a night does, seeds what is configured: all may ask them."""
    for node in models(manifest):
        if node["schema"] == "staging":
            continue
        for unique_id in node["depends_on"]["nodes"]:
            parent = manifest["nodes"].get(unique_id)
            if parent is not None and parent["resource_type"] == "model":
                yield node, parent


def place_of(node: Node) -> str:
    """Where a model stands among those that read each other: staging as a whole lies below all areas."""
    return "staging" if node["schema"] == "staging" else area_of(node)


def folder_of(node: Node) -> str:
    return "/".join(node["fqn"][1:-1])


def declared(node: Node) -> list[str]:
    return list(node["config"]["meta"].get("reads", ()))


LAWS = [
    areas_read_what_they_may,
    areas_form_no_circle,
    declared_readings_are_needed,
    the_foundation_is_the_one_that_was_laid,
    staff_and_bots_are_removed_once,
    every_model_and_seed_has_an_area,
]


def _reads(model):
    return lambda node: node["depends_on"]["nodes"].append(f"model.northstar.{model}")


def _declares(*areas):
    return lambda node: node["config"].update(meta={**node["config"]["meta"], "reads": [*declared(node), *areas]})


def _says(text):
    return lambda node: node.update(raw_code=f"{node['raw_code']}\nwhere {text}")


def _lies_in(*folders):
    return lambda node: node.update(fqn=["northstar", *folders, node["name"]])


def _both(*faults):
    return lambda node: [fault(node) for fault in faults]


FAULTS = [
    (areas_read_what_they_may, "int_events__unique", _reads("dim_date"), "int_events__unique of events reads dim_date of core"),
    (areas_read_what_they_may, "dim_persons", _reads("int_revenue__mrr_movements"), "dim_persons of core reads int_revenue__mrr"),
    (areas_read_what_they_may, "int_retention__returns", _reads("int_funnel__entries"), "of retention reads int_funnel__entries"),
    (areas_read_what_they_may, "int_clv__subscription_spells", _reads("stg_orders"), "spells of clv reads stg_orders of staging"),
    (areas_read_what_they_may, "mart_mrr__month", _reads("mart_retention__cohort"), "mart_mrr__month of revenue reads mart_ret"),
    (areas_form_no_circle, "int_sessions__fragments", _reads("int_identity__visitors"), "identity < sessions < identity"),
    (areas_form_no_circle, "int_churn__labels", _both(_declares("health"), _reads("int_health__scores")), "areas form a circle"),
    (
        declared_readings_are_needed,
        "int_clv__subscription_spells",
        _declares("funnel"),
        "intermediate/clv declares that it reads",
    ),
    (the_foundation_is_the_one_that_was_laid, "int_sessions__fragments", _lies_in("intermediate", "visits"), "visits is found"),
    (
        staff_and_bots_are_removed_once,
        "mart_ltv__cohort",
        _says("not customers.is_internal"),
        "mart_ltv__cohort of revenue names",
    ),
    (staff_and_bots_are_removed_once, "int_retention__cohorts", _says("not is_bot"), "int_retention__cohorts of retention names"),
    (every_model_and_seed_has_an_area, "mart_mrr__month", _lies_in("marts"), "mart_mrr__month has no area"),
]


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_the_areas_keep_the_law(manifest, law):
    assert len(list(readings(manifest))) > 100
    assert law(manifest) == []


@pytest.mark.parametrize(
    ("law", "model", "fault", "said"), FAULTS, ids=[f"{number}-{fault[1]}" for number, fault in enumerate(FAULTS)]
)
def test_the_law_of_areas_finds_the_fault(broken, law, model, fault, said):
    manifest, node = broken(f"model.northstar.{model}")
    fault(node)
    assert any(said in violation for violation in law(manifest)), law(manifest)


def test_every_law_of_areas_has_a_fault_that_it_finds():
    assert {law for law, *_ in FAULTS} == set(LAWS)


def test_a_seed_without_an_area_is_seen(broken):
    manifest, seed = broken("seed.northstar.targets")
    seed["config"]["meta"].pop("area")
    assert every_model_and_seed_has_an_area(manifest) == ["targets has no area: give its folder or its meta one"]


def test_models_that_may_know_what_core_removed_still_do(manifest):
    """Else the exception has had its day."""
    code = {node["name"]: node["raw_code"] for node in models(manifest)}
    assert all(any(mark in code[name] for mark in MARKS) for name in KNOWS)
