"""Publishing the current release to PostgreSQL.

Belongs here: the configured database, and publishing to it under the lock of a night or a command. Does not belong here:
loading a release (`publishing.targets.postgres`).
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
    """Publish the current release to PostgreSQL; None when none is configured. Raises like `publish_release`."""
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
    """The configured database; None without one. NorthstarError when the required packages are not installed."""
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
    """Publish a release of this home to the configured PostgreSQL; the caller holds the writer's lock.

    Raises NorthstarError naming the release that PostgreSQL still serves and how to retry. The files are not changed.
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
