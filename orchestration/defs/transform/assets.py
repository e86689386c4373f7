"""The dbt project as two multi-assets, each built by one in-process invocation of dbt: before and after the ML scores.

Loading a code location only reads the manifest; `northstar prepare` creates it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, DbtProject, dbt_assets

from orchestration.config.settings import Settings
from orchestration.defs.ingest.assets import PLAN
from orchestration.defs.owners import of_team
from orchestration.defs.resources import WAREHOUSE_POOL
from orchestration.night import building
from orchestration.night.run import Night
from orchestration.warehouse import dbt
from orchestration.warehouse.node_result import NodeResult

_UNIQUE_ID = "dagster_dbt/unique_id"
_Event = dg.MaterializeResult[None] | dg.AssetCheckResult


def area_of(node: Mapping[str, Any]) -> str:
    """Area of a dbt model or seed: from its meta, else the folder below its layer; core is one area."""
    declared = node["config"]["meta"].get("area")
    return str(declared or node["fqn"][min(2, len(node["fqn"]) - 2)])


class Translator(DagsterDbtTranslator):
    """Keys mirror the address in the warehouse; groups are areas."""

    def __init__(self) -> None:
        # Several tables of `control` are one asset: the plan.
        super().__init__(DagsterDbtTranslatorSettings(enable_duplicate_source_asset_keys=True))

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        """Address as a key: schema and table."""
        if dbt_resource_props["resource_type"] == "source" and dbt_resource_props["source_name"] == "control":
            return PLAN
        return dg.AssetKey([dbt_resource_props["schema"], dbt_resource_props["name"]])

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
        """Area of the model or seed."""
        return area_of(dbt_resource_props)

    def get_asset_spec(self, manifest: Mapping[str, Any], unique_id: str, project: DbtProject | None) -> dg.AssetSpec:
        """Spec of a model or seed; one without inputs depends on the plan, or a backfill would start its run too early."""
        spec = super().get_asset_spec(manifest, unique_id, project)
        return spec if spec.deps else spec.merge_attributes(deps=[PLAN])

    def get_description(self, dbt_resource_props: Mapping[str, Any]) -> str:
        """Description from the model's YAML; the SQL is in the project."""
        return str(dbt_resource_props.get("description") or "")

    def get_owners(self, dbt_resource_props: Mapping[str, Any]) -> list[str]:
        """Team from the `meta` of a model or seed; sources are assets of other areas, which have their own."""
        if dbt_resource_props["resource_type"] == "source":
            return []
        return [of_team(dbt_resource_props["config"]["meta"]["owner"])]


def build(settings: Settings) -> list[dg.AssetsDefinition]:
    """The dbt project's assets and checks: first all that do not read ML scores, then those that do, built after the scores."""
    manifest = dbt.read_manifest(settings)

    @dbt_assets(
        manifest=manifest,
        exclude=dbt.AFTER_SCORES,
        dagster_dbt_translator=Translator(),
        name="dbt",
        pool=WAREHOUSE_POOL,
    )
    def before_steps(context: dg.AssetExecutionContext, night: dg.ResourceParam[Night]) -> Iterator[_Event]:
        yield from _run(context, night, building.build)

    @dbt_assets(
        manifest=manifest,
        select=dbt.AFTER_SCORES,
        dagster_dbt_translator=Translator(),
        name="dbt_scored",
        pool=WAREHOUSE_POOL,
    )
    def after_steps(context: dg.AssetExecutionContext, night: dg.ResourceParam[Night]) -> Iterator[_Event]:
        yield from _run(context, night, building.build_scored)

    return [before_steps, after_steps]


def _run(
    context: dg.AssetExecutionContext, night: Night, build: Callable[[Night, Sequence[str]], Iterator[NodeResult]]
) -> Iterator[_Event]:
    """Build Dagster's selection, and report each model and test as soon as dbt has finished it."""
    failures = []

    def watched() -> Iterator[NodeResult]:
        for result in build(night, _selection(context)):
            if result.is_failure:
                failures.append(result)
            yield result

    yield from events(context.assets_def, watched())
    if failures:
        raise dbt.BuildFailed(dbt.explain(failures))


def _selection(context: dg.AssetExecutionContext) -> list[str]:
    """Names of the selected models, seeds and tests; empty if all are selected."""
    if not context.is_subset:
        return []
    assets, tests = context.assets_def, context.selected_asset_check_keys
    names = [key.path[-1] for key in context.selected_asset_keys]
    ids = [spec.metadata[_UNIQUE_ID] for spec in assets.check_specs if spec.key in tests]
    # "test.<project>.<name>.<hash>"
    return sorted([*names, *(unique_id.split(".")[2] for unique_id in ids)])


def events(assets: dg.AssetsDefinition, results: Iterable[NodeResult]) -> Iterator[_Event]:
    """Dagster's events for dbt's results: models and seeds built, tests evaluated. Skipped nodes have none."""
    keys = {spec.metadata[_UNIQUE_ID]: spec.key for spec in assets.specs}
    checks = {spec.metadata[_UNIQUE_ID]: spec.key for spec in assets.check_specs}
    for result in results:
        if result.unique_id in keys and result.status == "success":
            metadata: dict[str, float | int | bool] = {"seconds": round(result.seconds, 3)} | _unchanged(result)
            if result.rows is not None:
                metadata["dagster/row_count"] = result.rows
            yield dg.MaterializeResult(asset_key=keys[result.unique_id], metadata=metadata)
        elif result.unique_id in checks and result.status != "skipped":
            key = checks[result.unique_id]
            yield dg.AssetCheckResult(
                asset_key=key.asset_key,
                check_name=key.name,
                passed=result.status == "pass",
                severity=dg.AssetCheckSeverity.WARN if result.status == "warn" else dg.AssetCheckSeverity.ERROR,
                metadata={
                    "wrong rows": result.failures or 0,
                    "expected": 0,
                    "message": result.message,
                    **_unchanged(result),
                },
            )


def _unchanged(result: NodeResult) -> dict[str, bool]:
    return {"unchanged": True} if result.is_standing else {}
