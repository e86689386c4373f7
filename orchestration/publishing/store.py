"""The store of releases: everything that can be done with the releases of one home.

Belongs here: putting the sides together. Does not belong here: any of them (`release` reads, `candidate` builds, `promotion`
changes what is current, `retention` removes).
"""

from orchestration.publishing.candidate import CandidateBuilder
from orchestration.publishing.retention import Retention


class ReleaseStore(CandidateBuilder, Retention):
    """The releases of one home. `memory_limit` (as DuckDB writes it, `8GB`) bounds each connection opened here."""
