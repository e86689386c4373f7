"""From a plan to finished marts: dbt, and the ML steps between its two runs.

Belongs here: the stages that write the build file. Does not belong here: calling dbt (`warehouse.dbt`), and the work of an ML
step (`ml_steps`).
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from pydantic import TypeAdapter

from orchestration.base import digests
from orchestration.base.counts import counted
from orchestration.base.errors import NorthstarError
from orchestration.ml_steps.registry import store_of
from orchestration.ml_steps.step import SCHEMA, Outcome, Step, Task, Workbench
from orchestration.night import intake, notices
from orchestration.night.run import Night
from orchestration.warehouse import data_tests, dbt
from orchestration.warehouse.node_result import NodeResult

_OUTCOME = TypeAdapter(Outcome)


def build(night: Night, selection: Sequence[str] = ()) -> Iterator[NodeResult]:
    """Build models and seeds and run their tests, all or the named ones; yields each result as soon as it is known.

    Excludes models that read tables of ML steps; `build_scored` builds them. The plan counts as folded only if everything else
    was built and nothing failed. Failures are among the results.
    """
    if night.state.is_folded:
        # The build file no longer knows the days to replace: incremental models built again would lose them.
        intake.plan(night)
    has_failed = False
    for result in _build(night, "build", selection, is_scored=False):
        has_failed = has_failed or result.is_failure
        yield result
    if not selection and not has_failed:
        night.warehouse.mark_folded()
        night.state.is_folded = True
        night.save()
        with night.warehouse.kept_open():
            notices.announce_built(night)


def build_scored(night: Night, selection: Sequence[str] = ()) -> Iterator[NodeResult]:
    """Build the models that read tables of ML steps and run their tests, all or the named ones, after those are written."""
    return _build(night, "marts", selection, is_scored=True)


def _build(night: Night, name: str, selection: Sequence[str], *, is_scored: bool) -> Iterator[NodeResult]:
    plan = intake.planned(night)
    scored = dbt.after_scores(night.manifest)
    tests = [
        test
        for test in dbt.read_tests(night.settings)
        if (test.name in selection if selection else scored.isdisjoint(test.parents) != is_scored)
    ]
    names = {
        node_id: node["name"] for node_id, node in night.manifest["nodes"].items() if node["resource_type"] in ("model", "seed")
    }
    results: list[NodeResult] = []
    with night.stage(name) as stage:
        standing: dict[str, NodeResult] = {}
        if selection:
            chosen = {"selection": sorted(set(selection) - {test.name for test in tests})}
            # A model built on its own may have other inputs than in a night. A selector such as `+model` can mean any node.
            is_named = set(names.values()) >= set(chosen["selection"])
            night.standing.forget([node_id for node_id, node in names.items() if not is_named or node in selection])
            is_built = bool(chosen["selection"])
        else:
            nodes = {node_id: node for node_id, node in names.items() if (node_id in scored) == is_scored}
            standing = night.standing.find([*nodes, *(test.unique_id for test in tests)], anew=plan.is_rebuild)
            chosen = _selectors(nodes, standing, is_scored=is_scored)
            is_built = not nodes.keys() <= standing.keys()
        yield from standing.values()
        if is_built:
            for result in dbt.build(night.settings, full_refresh=plan.is_rebuild, parsed=night.parsed, **chosen):
                results.append(result)
                yield result
        built = {result.unique_id: result.status for result in results}
        for result in data_tests.run(night.warehouse, [test for test in tests if test.unique_id not in standing], built):
            results.append(result)
            yield result
        if not selection and not any(result.is_failure for result in results):
            night.standing.record(results)
        stage.rows = sum(result.rows or 0 for result in results)
        stage.detail = _told(results)
        if standing:
            stage.detail += f"; the results of {_told(standing.values())} stand"


def _selectors(nodes: Mapping[str, str], standing: Collection[str], *, is_scored: bool) -> dict[str, list[str]]:
    """Selectors of the nodes that do not stand, for dbt. It compares each name with every node: the shorter list is given."""
    changed = sorted(name for node_id, name in nodes.items() if node_id not in standing)
    kept = sorted(name for node_id, name in nodes.items() if node_id in standing)
    if len(changed) < len(kept):
        return {"selection": changed}
    return {"selection": [dbt.AFTER_SCORES], "exclusion": kept} if is_scored else {"exclusion": [dbt.AFTER_SCORES, *kept]}


def _told(results: Iterable[NodeResult]) -> str:
    kinds = Counter(result.resource_type for result in results)
    return f"{counted(kinds['model'], 'model')}, {counted(kinds['test'], 'test')}"


def run_task(night: Night, step: Step, task: Task, *, anew: bool = False) -> Outcome:
    """Run one task of an ML step on dbt's models, unless its last outcome stands; the outcome is kept in the run's state.

    anew: run it in any case.
    """
    store, plan, tables = store_of(night.settings.home, step), intake.planned(night), _tables(night)
    with night.stage(task.name) as stage:
        found = night.standing.find_outcome(
            task.name,
            [node_id for node_id, node in night.manifest["nodes"].items() if node["name"] in task.reads],
            [output for output in task.outputs if output in tables],
            # The stored models, and what was decided of them.
            beside=digests.of_files(store.folder, (path for path in store.folder.rglob("*") if path.is_file())),
            anew=anew or plan.is_rebuild,
        )
        if found is None:
            outcome = task.run(Workbench(night.settings.config, night.warehouse, store, plan.data_through, tables))
            night.standing.record_outcome(task.name, _OUTCOME.dump_json(outcome).decode())
        else:
            outcome = _OUTCOME.validate_json(found)
        night.state.outcomes[task.name] = outcome
        stage.rows, stage.detail = outcome.rows, outcome.detail if found is None else f"{outcome.detail}; stands"
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
