"""Bringing PostgreSQL to the release that stands.

Belongs here: which database is configured, and publishing to it under a night's lock or a command's. Does not belong here: how a
release is loaded (`publishing.targets.postgres`).
"""

import logging
from typing import TYPE_CHECKING

from orchestration.base.errors import NorthstarError, UserError
from orchestration.config.settings import Settings
from orchestration.marts import read_specs
from orchestration.night.run import Night
from orchestration.publishing.release import Release
from orchestration.publishing.store import ReleaseStore
from orchestration.warehouse import dbt

if TYPE_CHECKING:
    from orchestration.publishing.targets.postgres import Postgres, Published

_logger = logging.getLogger("northstar.night")


def publish(night: Night) -> "Published | None":
    """Bring PostgreSQL to the release that stands; None when none is configured. Raises as `publish_release` does."""
    if night.settings.postgres_url is None:
        return None
    release = night.releases.current()
    if release is None:
        raise UserError("there is no release yet; run `northstar nightly`")
    with night.stage("postgres") as stage:
        published = publish_release(night.settings, night.releases, release)
        stage.rows = published.rows
        stage.detail = f"{published.release_id} {published.action}"
    for note in published.notes:
        _logger.warning("PostgreSQL: %s", note)
    return published


def target(settings: Settings) -> "Postgres | None":
    """The configured database; None when there is none. NorthstarError when what it takes is not installed."""
    if settings.postgres_url is None:
        return None
    try:
        from orchestration.publishing.targets.postgres import Postgres
    except ImportError as error:
        raise NorthstarError(
            f"publishing to PostgreSQL needs the extra postgres, and {error.name or 'a library of it'} is missing: run"
            " `pip install 'northstar[postgres]'`"
        ) from error
    return Postgres(settings.postgres_url, scratch=settings.home / "tmp", memory_limit=settings.config.memory_limit)


def publish_release(settings: Settings, releases: ReleaseStore, release: Release) -> "Published":
    """Bring the configured PostgreSQL to a release of this home; the caller holds the writer's lock.

    Raises NorthstarError that says which release readers get there, and how to try again. The files are not touched.
    """
    try:
        database = target(settings)
        if database is None:
            raise UserError("no PostgreSQL database is configured; set NORTHSTAR_POSTGRES_URL or publish.postgres_url")
        grains = {name: spec.grain for name, spec in read_specs(dbt.read_manifest(settings)).items()}
        return database.publish(release, keys=grains, kept=[kept.release_id for kept in releases.releases()])
    except UserError:
        raise
    except NorthstarError as error:
        raise NorthstarError(f"{error}. `northstar publish` tries to bring it to release {release.release_id} again") from None
