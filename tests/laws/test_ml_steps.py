"""Laws of ML steps: what a new one adds, and that nothing else names it."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from orchestration.config.project import PROJECT
from orchestration.config.schema import Config
from orchestration.config.settings import Settings
from orchestration.defs.ml_steps import assets
from orchestration.ml_steps import registry
from orchestration.ml_steps.model_store import ModelStore
from orchestration.ml_steps.registry import STEPS, tasks
from orchestration.ml_steps.step import CheckSpec, Finding, Outcome, Step, Task, Workbench
from orchestration.warehouse.build_file import Warehouse

# Where a step may be named: its own module and the registry; the simulator's churn is the company's, not the model's.
OWN = ("orchestration/ml_steps", "orchestration/simulator")
# Intermediate models and an option of `northstar simulate` that have the word in their names.
OTHERS = re.compile(r"int_\w+|[-_]?constant[-_]churn")


def faults(steps: Iterable[Step], manifest: Mapping[str, Any]) -> list[str]:
    """What steps declare that dbt does not know, or that another step has declared too."""
    models = {node["name"] for node in manifest["nodes"].values() if node["resource_type"] == "model"}
    tables = {source["name"] for source in manifest["sources"].values() if source["source_name"] == "ml"}
    found, names, outputs = [], set(), set()
    for step in steps:
        for task in step.tasks:
            if task.name in names:
                found.append(f"{step.name}: a task {task.name} exists already")
            names.add(task.name)
            found += [f"{step.name}: no model {model}" for model in task.reads if model not in models]
            found += [f"{step.name}: nothing earlier makes {output}" for output in task.follows if output not in outputs]
            found += [f"{step.name}: {output} exists already" for output in task.outputs if output in outputs]
            outputs |= set(task.outputs)
    return found + [f"no step writes ml.{table}" for table in sorted(tables - outputs)]


def naming(root: Path, words: Iterable[str]) -> list[str]:
    """Lines of the orchestration, but for `OWN`, that name one of the words."""
    wanted = re.compile("|".join(sorted(words)), re.IGNORECASE)
    return [
        f"{path.relative_to(root)}: {line.strip()}"
        for path in sorted((root / "orchestration").rglob("*.py"))
        if not path.relative_to(root).as_posix().startswith((*OWN, "orchestration/landing/", "orchestration/config/"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if wanted.search(OTHERS.sub("", line))
    ]


def test_steps_read_and_write_what_dbt_declares(manifest) -> None:
    assert faults(STEPS, manifest) == []


GUESS = Task(
    "guess",
    {"toy_guesses": "One row per guess."},
    ("int_health__scores",),
    lambda bench: Outcome(
        rows=bench.write("toy_guesses", bench.read("select 1.5 as guess")),
        detail="guessed",
        tables={"toy_guesses": 1},
        findings={"guesses_are_positive": Finding(passed=True, numbers={"guesses": 1})},
    ),
    checks={"guesses_are_positive": CheckSpec("No guess is negative.")},
)


@dataclass(frozen=True)
class Toy(Step):
    """A step as a newcomer would write it."""

    name: str = "toy"
    task: Task = GUESS

    @property
    def tasks(self) -> tuple[Task, ...]:
        return (self.task,)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"name": "train"}, "toy: a task train exists already"),
        ({"reads": ("int_nothing",)}, "toy: no model int_nothing"),
        ({"follows": ("toy_model",)}, "toy: nothing earlier makes toy_model"),
        ({"outputs": {"churn_scores": ""}}, "toy: churn_scores exists already"),
    ],
)
def test_a_fault_of_a_step_is_found(manifest, change: dict[str, Any], fault: str) -> None:
    assert faults([*STEPS, Toy(task=replace(GUESS, **change))], manifest) == [fault]


def test_a_table_that_no_step_writes_is_found(manifest) -> None:
    assert faults(STEPS[:1], manifest) == ["no step writes ml.churn_scores"]


def test_nothing_but_the_registry_names_a_step() -> None:
    words = {step.name for step in STEPS} | {output for _, task in tasks() for output in task.outputs}
    assert naming(PROJECT, words) == []


def test_a_module_that_names_a_step_is_found(tmp_path: Path) -> None:
    (tmp_path / "orchestration/night").mkdir(parents=True)
    (tmp_path / "orchestration/night/building.py").write_text('if step == "churn":  # int_churn__days\n    pass\n')
    assert naming(tmp_path, ["churn"]) == ['orchestration/night/building.py: if step == "churn":  # int_churn__days']


def test_one_line_of_the_registry_makes_an_asset_a_check_and_a_table(manifest, tmp_path: Path, monkeypatch) -> None:
    """What CONTRIBUTING promises: a toy step runs without another change."""
    monkeypatch.setattr(registry, "STEPS", (*STEPS, Toy()))
    declared = {**manifest, "sources": {**manifest["sources"], "source.northstar.ml.toy_guesses": _table("toy_guesses")}}
    monkeypatch.setattr(assets.dbt, "read_manifest", lambda _: declared)
    settings = Settings(home=tmp_path, landing=tmp_path, config_file=None, config=Config())
    made, checks = assets.build(settings)
    assert dg.AssetKey(["ml", "toy_guesses"]) in {key for asset in made for key in asset.keys}
    assert "guesses_are_positive" in {key.name for check in checks for key in check.check_keys}
    warehouse = Warehouse(settings)
    tables = {"toy_guesses": {"guess": "double"}}
    with warehouse.connect():
        pass
    bench = Workbench(settings.config, warehouse, ModelStore(tmp_path, "toy"), date(2026, 11, 20), tables)
    assert Toy().task.run(bench).tables == {"toy_guesses": 1}
    with warehouse.connect(read_only=True) as connection:
        assert connection.execute("from ml.toy_guesses").fetchall() == [(1.5,)]
    assert registry.step_of("toy_guesses") == Toy()


def _table(name: str) -> dict[str, Any]:
    return {"name": name, "source_name": "ml", "columns": {"guess": {"name": "guess", "data_type": "double", "description": ""}}}
