"""A night: its stages in plain Python, over a state on disk that lets a retry continue where a run stopped.

Belongs here: the order of work within each stage, and notices for operators. Does not belong here: Dagster (`defs` makes each
stage an asset), and the work itself (`landing`, `warehouse`, `ml_steps`, `expectations`, `publishing`).
"""

JOB = "nightly"
"""Name of the job, and what the writer's lock is held for."""
# Tags that change a run of the job: only facts that arrived up to a day; arrival days again; a full rebuild of the warehouse.
AS_OF_TAG = "northstar/as_of"
FROM_TAG = "northstar/from"
TO_TAG = "northstar/to"
REBUILD_TAG = "northstar/rebuild"
