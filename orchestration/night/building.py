"""From a plan to finished marts: dbt, and the ML steps between its two runs.

Belongs here: the stages that write the build file. Does not belong here: calling dbt (`warehouse.dbt`), and the work of an ML
step (`ml_steps`).
"""

from collections.abc import Iterator, Sequence

from orchestration.base.errors import NorthstarError
from orchestration.ml_steps.registry import store_of
from orchestration.ml_steps.step import SCHEMA, Outcome, Step, Task, Workbench
from orchestration.night import intake, notices
from orchestration.night.run import Night
from orchestration.warehouse import dbt


def build(night: Night, selection: Sequence[str] = ()) -> Iterator[dbt.NodeResult]:
    """Run dbt on the plan, in full or for the named models, seeds and tests; yields each result as soon as it is known.

    Excludes models that read tables of ML steps; `build_scored` builds them. The plan counts as folded only if everything else
    was built and nothing failed. Failures are among the results.
    """
    if night.state.is_folded:
        # The build file no longer knows the days to replace: incremental models built again would lose them.
        intake.plan(night)
    results = []
    for result in _build(night, "build", selection, exclusion=[dbt.AFTER_SCORES]):
        results.append(result)
        yield result
    if not selection and not any(result.is_failure for result in results):
        night.warehouse.mark_folded()
        night.state.is_folded = True
        night.save()
        notices.announce_built(night)


def build_scored(night: Night, selection: Sequence[str] = ()) -> Iterator[dbt.NodeResult]:
    """Run dbt on the models that read tables of ML steps, all or the named models and tests, after those are written."""
    return _build(night, "marts", selection, default=[dbt.AFTER_SCORES])


def _build(
    night: Night, name: str, selection: Sequence[str], *, default: Sequence[str] = (), exclusion: Sequence[str] = ()
) -> Iterator[dbt.NodeResult]:
    plan = intake.planned(night)
    with night.stage(name) as stage:
        results = []
        for result in dbt.build(
            night.settings,
            full_refresh=plan.is_rebuild,
            parsed=night.parsed,
            selection=selection or default,
            exclusion=exclusion,
            only_named=bool(selection),
        ):
            results.append(result)
            yield result
        stage.rows = sum(result.rows or 0 for result in results)
        models = sum(result.resource_type == "model" for result in results)
        tests = sum(result.resource_type == "test" for result in results)
        stage.detail = f"{models} models, {tests} tests"


def run_task(night: Night, step: Step, task: Task) -> Outcome:
    """Run one task of an ML step on dbt's models; its outcome is kept in the run's state."""
    bench = Workbench(
        night.settings.config,
        night.warehouse,
        store_of(night.settings.home, step),
        intake.planned(night).data_through,
        _tables(night),
    )
    with night.stage(task.name) as stage:
        outcome = task.run(bench)
        night.state.outcomes[task.name] = outcome
        stage.rows, stage.detail = outcome.rows, outcome.detail
    return outcome


def outcome_of(night: Night, task: Task) -> Outcome:
    """Outcome of a task in this run; NorthstarError when it has not run."""
    try:
        return night.state.outcomes[task.name]
    except KeyError:
        raise NorthstarError(f"{', '.join(task.outputs)}: nothing was produced in this run; run the checks with it") from None


def _tables(night: Night) -> dict[str, dict[str, str]]:
    """Columns and types of the tables of `ml`, as dbt declares them."""
    return {
        source["name"]: {column["name"]: column["data_type"] for column in source["columns"].values()}
        for source in night.manifest["sources"].values()
        if source["source_name"] == SCHEMA
    }
