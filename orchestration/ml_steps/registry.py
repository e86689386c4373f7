"""Registry of a night's ML steps: one line per step.

Belongs here: the list and lookups in it. Does not belong here: the protocol of a step (`step`).
"""

from collections.abc import Iterator
from pathlib import Path

from orchestration.ml_steps.churn import Churn
from orchestration.ml_steps.lifetime_value import LifetimeValue
from orchestration.ml_steps.model_store import ModelStore
from orchestration.ml_steps.step import Step, Task

STEPS: tuple[Step, ...] = (
    LifetimeValue(),
    Churn(),
)


def tasks() -> Iterator[tuple[Step, Task]]:
    """Yield every task of every step, in the order of a night."""
    for step in STEPS:
        for task in step.tasks:
            yield step, task


def store_of(home: Path, step: Step) -> ModelStore:
    """The stored models of a step."""
    return ModelStore(home, step.name)


def model_versions(home: Path) -> str | None:
    """The stored models that produce what a home publishes, one per step that stores any; None when there is none."""
    found = (step.model_version(store_of(home, step)) for step in STEPS)
    return ", ".join(version for version in found if version) or None


def step_of(table: str) -> Step | None:
    """The step that writes a table of `ml`, or None."""
    return next((step for step, task in tasks() if table in task.outputs), None)
