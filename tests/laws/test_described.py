"""Laws of the models' YAML: what others read is described column by column, and every model has a test."""

import copy
from collections.abc import Mapping
from typing import Any

import pytest

Manifest = Mapping[str, Any]
MODEL = "model.northstar.int_churn__features"


def models(manifest: Manifest) -> dict[str, Any]:
    return {unique_id: node for unique_id, node in manifest["nodes"].items() if node["resource_type"] == "model"}


def undescribed(manifest: Manifest) -> list[str]:
    """Models that others read without a described column, and columns without a description."""
    found = models(manifest)
    read = {parent for node in manifest["nodes"].values() for parent in node["depends_on"].get("nodes", ())}
    return [
        *(
            f"{node['name']} is read and describes no column"
            for unique_id, node in found.items()
            if unique_id in read and not node["columns"]
        ),
        *(
            f"{node['name']}.{column['name']} has no description"
            for node in found.values()
            for column in node["columns"].values()
            if not column["description"].strip()
        ),
    ]


def untested(manifest: Manifest) -> list[str]:
    """Models that no test reads."""
    tested = {
        parent for node in manifest["nodes"].values() if node["resource_type"] == "test" for parent in node["depends_on"]["nodes"]
    }
    return [f"{node['name']} has no test" for unique_id, node in models(manifest).items() if unique_id not in tested]


def test_every_model_that_others_read_is_described(manifest: Manifest) -> None:
    assert undescribed(manifest) == []


def test_every_model_has_a_test(manifest: Manifest) -> None:
    assert untested(manifest) == []


@pytest.fixture
def changed(manifest: Manifest) -> dict[str, Any]:
    return copy.deepcopy(dict(manifest))


def test_a_model_without_columns_or_a_column_without_words_is_found(changed: dict[str, Any]) -> None:
    node = changed["nodes"][MODEL]
    first = next(iter(node["columns"]))
    node["columns"][first]["description"] = " "
    assert f"int_churn__features.{first} has no description" in undescribed(changed)
    node["columns"] = {}
    assert "int_churn__features is read and describes no column" in undescribed(changed)


def test_a_model_without_a_test_is_found(changed: dict[str, Any]) -> None:
    for unique_id in [name for name, node in changed["nodes"].items() if node["resource_type"] == "test"]:
        if MODEL in changed["nodes"][unique_id]["depends_on"]["nodes"]:
            del changed["nodes"][unique_id]
    assert "int_churn__features has no test" in untested(changed)
