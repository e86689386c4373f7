"""The stages of a night in the order of the job, without Dagster and the command line, which take about as long again.

Belongs here: calling the stages. Does not belong here: homes, and what came of a night (the tests).
"""

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from orchestration.ml_steps.registry import tasks

if TYPE_CHECKING:
    from expectations.report import GateReport
    from orchestration.ml_steps.step import Outcome
    from orchestration.night.run import Night


def build(night: "Night", days: Sequence[date] | None = None, *, as_of: date | None = None, anew: bool = False) -> None:
    """Everything before the candidate; a failed model or test is an AssertionError that names it."""
    from orchestration.night import building, intake
    from orchestration.warehouse import dbt

    intake.ingest(night, days, as_of=as_of)
    intake.erase(night)
    intake.plan(night, as_of=as_of, anew=anew)
    built = list(building.build(night))
    for step, task in tasks():
        building.run_task(night, step, task)
    built += building.build_scored(night)
    failures = [result for result in built if result.is_failure]
    assert not failures, dbt.explain(failures)


def run_task(night: "Night", name: str) -> "Outcome":
    """One task of an ML step, by its name."""
    from orchestration.night import building

    return next(building.run_task(night, step, task, anew=True) for step, task in tasks() if task.name == name)


def judge(night: "Night") -> "GateReport":
    """Build a candidate and let the gate judge it."""
    from orchestration.night import releasing

    releasing.candidate(night)
    return releasing.validate(night)


def publish(night: "Night") -> "GateReport":
    """Build a candidate, judge and publish it; raises GateRefused when it does not pass."""
    from orchestration.night import releasing

    report = judge(night)
    releasing.publish(night)
    return report


def built(night: "Night", selection: Sequence[str] = ()) -> list[Any]:
    """Results of what dbt builds before the ML steps."""
    from orchestration.night import building

    return list(building.build(night, selection))
