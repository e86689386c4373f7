"""Dagster resources over the plain classes.

Belongs here: providing a run's `Night`. Does not belong here: the work of a night (`night`).
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import dagster as dg

from orchestration.config.settings import Settings
from orchestration.night.run import Night

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest as DbtManifest

# One writer for the warehouse across all runs: assets that use it name this pool.
WAREHOUSE_POOL = "warehouse"


def night(settings: Settings, parsed: "DbtManifest | None" = None) -> dg.ResourceDefinition:
    """The night of a run: the writer's lock is taken when the run starts and released when it ends.

    The executor is in-process, so that all steps of a run share it. Runs from the command line bypass Dagster's pools;
    only the lock keeps them apart.
    """

    @dg.resource(description="The stages of a night over one home, under the writer's lock.")
    def resource(context: dg.InitResourceContext) -> Iterator[Night]:
        run = context.run
        assert run is not None  # noqa: S101  (outside of a run Dagster starts no resource of a job)
        # A re-execution from failure continues with the state of the original run.
        with Night(settings, purpose=f"run {run.run_id}", run_id=run.root_run_id or run.run_id, parsed=parsed) as opened:
            yield opened

    return resource
