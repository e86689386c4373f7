"""dbt's own unit tests, run by dbt on a warehouse that a night has built; and that a model that breaks them is caught."""

import json
import os
from pathlib import Path

import pytest

from orchestration.settings import load
from tests.integration.conftest import copy_home

pytestmark = pytest.mark.xdist_group("small")


@pytest.fixture
def unit_tests(small_home, tmp_path, monkeypatch):
    """Run the project's unit tests in a home that has a warehouse, with other variables if given: name → (status, message)."""
    home = copy_home(small_home, tmp_path / "home")
    settings = load({"NORTHSTAR_HOME": str(home)}, directory=home)

    def run(selection: str = "test_type:unit", **variables: str) -> dict[str, str]:
        from dbt.adapters.duckdb.connections import DuckDBConnectionManager
        from dbt.cli.main import dbtRunner

        monkeypatch.setattr(os, "environ", os.environ.copy())
        settings.export()
        try:
            outcome = dbtRunner().invoke(
                ["test", "--select", selection, "--vars", json.dumps({**settings.dbt_vars(), **variables})]
            )
        finally:
            DuckDBConnectionManager.close_all_connections()
        assert outcome.exception is None, outcome.exception
        return {result.node.name: str(result.status) for result in outcome.result.results}

    return run


def test_unit_tests_of_the_branching_models_pass(unit_tests):
    statuses = unit_tests()
    assert len(statuses) >= 7
    assert set(statuses.values()) == {"pass"}


def test_a_model_that_does_otherwise_fails_its_unit_test(unit_tests):
    statuses = unit_tests("the_third_active_day_after_the_value_counts", reporting_timezone="Pacific/Kiritimati")
    assert statuses == {"the_third_active_day_after_the_value_counts": "fail"}


def test_every_model_has_its_yaml_beside_it():
    models = Path(__file__).resolve().parents[2] / "dbt_project" / "models"
    assert [path for path in models.rglob("*.sql") if not path.with_suffix(".yml").exists()] == []
