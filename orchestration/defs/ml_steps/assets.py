"""Every task of the registry as one multi-asset, with the checks of its last output beside it.

Belongs here: keys, metadata and severities. Does not belong here: naming any step.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg

from orchestration.config.settings import Settings
from orchestration.defs.owners import Owner
from orchestration.defs.resources import WAREHOUSE_POOL
from orchestration.ml_steps.registry import tasks
from orchestration.ml_steps.step import SCHEMA, Step, Task
from orchestration.night import building
from orchestration.night.run import Night
from orchestration.warehouse import dbt


def key(output: str) -> dg.AssetKey:
    """Key of an output of a task."""
    return dg.AssetKey([SCHEMA, output])


def outputs() -> list[dg.AssetKey]:
    """Keys of everything that ML steps produce."""
    return [key(output) for _, task in tasks() for output in task.outputs]


def build(settings: Settings) -> tuple[list[dg.AssetsDefinition], list[dg.AssetChecksDefinition]]:
    """The assets and the checks of this area."""
    declared = {
        source["name"]: source["columns"]
        for source in dbt.read_manifest(settings)["sources"].values()
        if source["source_name"] == SCHEMA
    }
    assets = [_asset(step, task, declared) for step, task in tasks()]
    checks = [_checks(task) for _, task in tasks() if task.checks]
    return assets, checks


def _asset(step: Step, task: Task, declared: Mapping[str, Mapping[str, Any]]) -> dg.AssetsDefinition:
    reads = [*(dg.AssetKey(["intermediate", model]) for model in task.reads), *map(key, task.follows)]

    @dg.multi_asset(
        name=f"{step.name}__{task.name}",
        specs=[
            dg.AssetSpec(
                key(output),
                deps=reads,
                description=description,
                group_name=SCHEMA,
                kinds=set(task.kinds),
                owners=[Owner.SCIENCE],
                metadata=_schema(declared[output]) if output in declared else {},
            )
            for output, description in task.outputs.items()
        ],
        pool=WAREHOUSE_POOL,
    )
    def run(context: dg.AssetExecutionContext, night: dg.ResourceParam[Night]) -> Iterator[dg.MaterializeResult[None]]:
        # A step that somebody selected runs in any case.
        outcome = building.run_task(night, step, task, anew=bool(context.run.asset_selection))
        context.log.info(outcome.detail)
        report = {"card": dg.MetadataValue.md(outcome.report)} if outcome.report else {}
        for output in task.outputs:
            rows = {"dagster/row_count": outcome.tables[output]} if output in outcome.tables else {}
            yield dg.MaterializeResult(asset_key=key(output), metadata={**rows, **outcome.metadata, **report})

    return run


def _schema(columns: Mapping[str, Any]) -> dict[str, dg.TableSchema]:
    return {
        "dagster/column_schema": dg.TableSchema(
            [dg.TableColumn(name, column["data_type"].upper(), column["description"]) for name, column in columns.items()]
        )
    }


def _checks(task: Task) -> dg.AssetChecksDefinition:
    judged = list(task.outputs)[-1]

    @dg.multi_asset_check(
        name=f"{judged}_checks",
        specs=[
            dg.AssetCheckSpec(name, asset=key(judged), blocking=spec.is_blocking, description=spec.description)
            for name, spec in task.checks.items()
        ],
        pool=WAREHOUSE_POOL,
    )
    def checks(night: dg.ResourceParam[Night]) -> Iterator[dg.AssetCheckResult]:
        outcome = building.outcome_of(night, task)
        for name, spec in task.checks.items():
            finding = outcome.findings[name]
            # Without outputs nothing was judged: the check does not pass, but need not block, as nothing is built from it.
            is_alarm = spec.is_blocking and not outcome.missing
            yield dg.AssetCheckResult(
                check_name=name,
                asset_key=key(judged),
                passed=finding.passed,
                severity=dg.AssetCheckSeverity.ERROR if is_alarm else dg.AssetCheckSeverity.WARN,
                metadata=dict(finding.numbers),
            )

    return checks
