"""What a run knows about the release that it builds, before the release exists.

Belongs here: the record that building and comparing a candidate share. Does not belong here: what is measured of the built
candidate (`manifest`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date


@dataclass(frozen=True)
class RunFacts:
    """A run's facts about its release.

    days: per source, arrival day → digest of what the lake holds of it. erased_persons: erased since the last release.
    """

    release_id: str
    data_through: date
    code_version: str
    model_version: str | None = None
    days: Mapping[str, Mapping[date, str]] = field(default_factory=dict)
    config_digest: str = ""
    dbt_manifest_digest: str = ""
    erased_persons: int = 0
