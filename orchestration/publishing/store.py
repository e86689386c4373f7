"""The store of releases: all operations on the releases of one home.

Belongs here: combining the operations. Does not belong here: the operations (`release` reads, `candidate` builds, `promotion`
changes the current release, `retention` removes).
"""

from orchestration.publishing.candidate import CandidateBuilder
from orchestration.publishing.retention import Retention


class ReleaseStore(CandidateBuilder, Retention):
    """The releases of one home. `memory_limit` (DuckDB's, such as `8GB`) bounds each connection opened here."""
