"""The code location: the areas of `defs` put together under one policy.

Belongs here: what holds for all assets (the executor, the resource). Does not belong here: any asset.
"""

import warnings
from typing import TYPE_CHECKING

import dagster as dg

from orchestration import transform
from orchestration.config.loading import load
from orchestration.config.settings import Settings
from orchestration.defs import exposures, jobs, schedules
from orchestration.defs.churn import assets as churn
from orchestration.defs.churn import checks as churn_checks
from orchestration.defs.gate import checks as gate
from orchestration.defs.ingest import assets as ingest
from orchestration.defs.publish import assets as publish
from orchestration.defs.transform import assets as dbt
from orchestration.defs.value import assets as value
from orchestration.marts import read_specs
from orchestration.resources import night as night_resource

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest as DbtManifest


def build(settings: Settings, parsed: "DbtManifest | None" = None) -> dg.Definitions:
    """The definitions over one home; tests and the command line build the same graph. Needs a prepared dbt manifest.

    parsed: the dbt project where this process has just parsed it.
    """
    manifest = transform.read_manifest(settings)
    specs = read_specs(manifest)
    with warnings.catch_warnings():
        # Said of every backfill policy at every load; the pinned version is the one that the tests drive.
        warnings.simplefilter("ignore", category=dg.BetaWarning)
        lake = ingest.build(settings)
    return dg.Definitions(
        assets=[
            *lake,
            *dbt.build(settings),
            churn.churn_model,
            churn.churn_scores,
            value.lifetime_values,
            *publish.build(specs),
            *exposures.build(manifest),
        ],
        asset_checks=[churn_checks.churn_scores_checks, gate.build(list(specs))],
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
