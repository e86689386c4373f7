"""The dbt manifest and the settings that laws are checked on: those of the home that all others begin from."""

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from orchestration.config.loading import load
from orchestration.config.project import PROJECT
from orchestration.config.settings import Settings
from orchestration.warehouse import dbt


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the project."""
    return PROJECT


@pytest.fixture(scope="session")
def configured(prepared: Path) -> Settings:
    """Default settings over a home whose manifest is prepared."""
    return load({"NORTHSTAR_HOME": str(prepared)}, directory=prepared)


@pytest.fixture(scope="session")
def manifest(configured: Settings) -> Mapping[str, Any]:
    """The nodes, sources, exposures and selectors of the real project."""
    whole = dbt.read_manifest(configured)
    return {kind: whole[kind] for kind in ("nodes", "sources", "exposures", "selectors")}


@pytest.fixture
def broken(manifest: Mapping[str, Any]) -> Callable[[str], tuple[dict[str, Any], dict[str, Any]]]:
    """A manifest to break: called with a node's unique_id it gives a copy of the manifest and that node within the copy."""

    def copied(unique_id: str) -> tuple[dict[str, Any], dict[str, Any]]:
        kind = next((kind for kind in ("source", "exposure") if unique_id.startswith(f"{kind}.")), "node") + "s"
        node = copy.deepcopy(manifest[kind][unique_id])
        return {**manifest, kind: {**manifest[kind], unique_id: node}}, node

    return copied
