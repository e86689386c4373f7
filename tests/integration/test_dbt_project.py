"""dbt's own unit tests, run by dbt on a warehouse that a night has built; and that a model that breaks them is caught."""

import json
import os
import shutil
from pathlib import Path

import pytest

from orchestration.config.loading import load
from orchestration.config.project import DBT_PROJECT
from orchestration.warehouse.dbt import read_parsed
from tests.integration.conftest import copy_home


@pytest.fixture
def unit_tests(small_home, tmp_path, monkeypatch):
    """Run unit tests of the project, or of a copy, in a home that has a warehouse: name → status."""
    home = copy_home(small_home, tmp_path / "home")
    settings = load({"NORTHSTAR_HOME": str(home)}, directory=home)

    def run(project: Path = DBT_PROJECT, selection: str = "test_type:unit") -> dict[str, str]:
        from dbt.adapters.duckdb.connections import DuckDBConnectionManager
        from dbt.cli.main import dbtRunner

        monkeypatch.setattr(os, "environ", os.environ.copy())
        settings.export()
        arguments = ["test", "--select", selection, "--project-dir", str(project), "--vars", json.dumps(settings.dbt_vars())]
        # A copy of the project has no home that has parsed it.
        parsed = read_parsed(settings) if project == DBT_PROJECT else None
        try:
            outcome = dbtRunner(manifest=parsed).invoke(arguments)
        finally:
            DuckDBConnectionManager.close_all_connections()
        assert outcome.exception is None, outcome.exception
        return {result.node.name: str(result.status) for result in outcome.result.results}

    return run


def test_unit_tests_of_the_branching_models_pass(unit_tests):
    statuses = unit_tests()
    assert len(statuses) >= 7
    assert {name: status for name, status in statuses.items() if status != "pass"} == {}


@pytest.mark.long
def test_a_model_that_does_otherwise_fails_its_unit_test(unit_tests, tmp_path):
    project = tmp_path / "dbt_project"
    shutil.copytree(DBT_PROJECT, project)
    model = project / "models/intermediate/funnel/int_funnel__milestones.sql"
    model.write_text(model.read_text().replace("where day_number = 3", "where day_number = 2"))
    name = "the_third_active_day_after_the_value_counts"
    assert unit_tests(project, name) == {name: "fail"}


def test_every_model_has_its_yaml_beside_it():
    assert [path for path in (DBT_PROJECT / "models").rglob("*.sql") if not path.with_suffix(".yml").exists()] == []
