"""Whether a night would publish the same again.

Belongs here: comparing what a night reads with what the current release was made from. Does not belong here: ending the night,
which the command and the schedule do.
"""

from datetime import datetime

from orchestration.landing import arrivals
from orchestration.landing.contract import CONTRACT
from orchestration.ml_steps.registry import model_versions
from orchestration.night import postgres
from orchestration.night.run import Night
from orchestration.publishing.release import Release


def standing(night: Night) -> Release | None:
    """The current release when a night would publish the same again; None when anything that it is made of has changed.

    Compared are landed files and partitions, requests of erasure, configuration, code, models and the day on which a mart goes.
    A release that PostgreSQL lacks is not standing. Raises NorthstarError when the current one is damaged: no night could be
    compared with it.
    """
    current = night.releases.current()
    if current is None:
        return None
    night.releases.check_bytes(current)
    return None if _differs(night, current) or _postgres_lacks(night, current) else current


def _differs(night: Night, current: Release) -> bool:
    made = current.manifest
    today = datetime.now(night.settings.timezone).date()
    return (
        (made.config_digest, made.dbt_manifest_digest, made.code_version)
        != (night.settings.digest, night.manifest_digest, night.code_version)
        or made.model_version != model_versions(night.settings.home)
        or any(record.published_until is not None and record.published_until < today for record in made.marts.values())
        or bool(night.ledger.pending or night.ledger.unpublished.persons)
        or bool(arrivals.pending(night.settings.landing, night.lake))
        or {source: night.source_digest(source) for source in CONTRACT}
        != {source: record.digest for source, record in made.sources.items()}
    )


def _postgres_lacks(night: Night, current: Release) -> bool:
    """Whether a PostgreSQL is configured that has another release."""
    database = postgres.target(night.settings)
    return database is not None and database.published() != current.release_id
