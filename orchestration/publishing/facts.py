"""Facts of a run about the release that it builds, known before the release exists.

Belongs here: the records shared by building, comparing and promoting a candidate. Does not belong here: measurements of the
built candidate (`manifest`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from orchestration.publishing.manifest import Changes, ErasureRecord, GateRecord, SchemaChange, SourceRecord


@dataclass(frozen=True)
class RunFacts:
    """A run's facts about its release.

    days: per source, arrival day → digest of its partition. erased_persons: erased since the last release.
    """

    release_id: str
    data_through: date
    code_version: str
    model_version: str | None = None
    days: Mapping[str, Mapping[date, str]] = field(default_factory=dict)
    config_digest: str = ""
    dbt_manifest_digest: str = ""
    erased_persons: int = 0


@dataclass(frozen=True)
class NightRecord:
    """Facts that a night adds to a candidate's measurements. previous_key: fingerprint of the last release's pseudonym key."""

    previous_release_id: str | None
    config_digest: str
    dbt_manifest_digest: str
    sources: Mapping[str, SourceRecord]
    left_out: Mapping[str, str]
    gate: GateRecord
    timings: Mapping[str, float]
    previous_key: str | None = None
    erasure: ErasureRecord | None = None
    schema_changes: Sequence[SchemaChange] = ()
    changes: Changes | None = None
