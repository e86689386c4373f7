"""The jobs: the night."""

import dagster as dg

from orchestration.night import JOB

# Longer than any night has taken, and ends before the next one: a hanging run frees its slot.
_MAX_RUNTIME_SECONDS = 6 * 60 * 60


nightly = dg.define_asset_job(
    JOB,
    selection=dg.AssetSelection.all(),
    description="Everything that landed and is not built yet, from the landing zone to the published marts.",
    tags={"dagster/max_runtime": str(_MAX_RUNTIME_SECONDS)},
    executor_def=dg.in_process_executor,
)
