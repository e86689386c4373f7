"""The contracts name the pinned versions, and a broken one says where to look."""

import tomllib
from pathlib import Path

import pytest
from libraries import DBT, LIBRARIES, SCIKIT_LEARN

PYPROJECT = Path(__file__).resolve().parents[3] / "pyproject.toml"


def unpinned(dependencies: list[str]) -> list[str]:
    return [library.name for library in LIBRARIES if f"{library.name}=={library.tested}" not in dependencies]


def test_every_contract_names_the_pinned_version() -> None:
    assert unpinned(tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]["dependencies"]) == []


def test_a_pin_that_moved_without_its_contract_is_found() -> None:
    pins = [f"{library.name}=={library.tested}" for library in LIBRARIES if library is not DBT]
    assert unpinned([*pins, f"{DBT.name}==1.11.17"]) == ["dbt-core"]


def test_a_broken_contract_says_which_version_broke_it_and_where_to_look() -> None:
    said = r"scikit-learn \S+ \(works with \S+\) breaks the contract 'trees': KeyError\('nodes'\); look at ml/churn/trees\.py"
    with pytest.raises(AssertionError, match=said), SCIKIT_LEARN.contract("trees"):
        raise KeyError("nodes")
