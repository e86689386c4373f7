"""The code location: the areas of `defs` put together under one policy.

Belongs here: what holds for all assets (the executor, the resource, the owners at this site). Does not belong here: any asset.
"""

import warnings
from typing import TYPE_CHECKING

import dagster as dg

from orchestration.config.loading import load
from orchestration.config.settings import Settings
from orchestration.defs import exposures, jobs, schedules
from orchestration.defs.gate import checks as gate
from orchestration.defs.ingest import assets as ingest
from orchestration.defs.ml_steps import assets as ml_steps
from orchestration.defs.owners import at_site
from orchestration.defs.publish import assets as publish
from orchestration.defs.resources import night as night_resource
from orchestration.defs.transform import assets as transform
from orchestration.marts import read_specs
from orchestration.warehouse import dbt

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest as DbtManifest


def build(settings: Settings, parsed: "DbtManifest | None" = None) -> dg.Definitions:
    """The definitions over one home; tests and the command line build the same graph. Needs a prepared dbt manifest.

    parsed: the dbt project where this process has just parsed it.
    """
    manifest = dbt.read_manifest(settings)
    specs = read_specs(manifest)
    with warnings.catch_warnings():
        # Said of every backfill policy at every load; the pinned version is the one that the tests drive.
        warnings.simplefilter("ignore", category=dg.BetaWarning)
        lake = ingest.build(settings)
    steps, step_checks = ml_steps.build(settings)
    assets = [*lake, *transform.build(settings), *steps, *publish.build(specs)]
    owners = at_site(settings.config.owners)
    return dg.Definitions(
        assets=[*dg.map_asset_specs(owners, assets), *dg.map_asset_specs(owners, exposures.build(manifest))],
        asset_checks=[*step_checks, gate.build(list(specs))],
        jobs=[jobs.nightly],
        schedules=[schedules.nightly(settings)],
        resources={"night": night_resource(settings, parsed)},
        executor=dg.in_process_executor,
    )


@dg.definitions
def defs() -> dg.Definitions:
    """The definitions that Dagster loads, from the environment that it was started in."""
    settings = load()
    settings.export()
    return build(settings)
