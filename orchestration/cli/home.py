"""The home that a command works on: its code location, its releases, and what its marts are.

Belongs here: what several groups of commands ask of a home. Does not belong here: reading settings (`config`).
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from orchestration.cli.console import ERR
from orchestration.config.settings import Settings

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest as DbtManifest

    from orchestration.marts import MartSpec
    from orchestration.publishing.store import ReleaseStore


def prepare_home(settings: Settings) -> "DbtManifest | None":
    """Make what a code location needs; returns the dbt project where it had to be parsed for that."""
    from orchestration import serving
    from orchestration.warehouse import dbt

    settings.export()
    if notice := serving.install(settings):
        ERR.print(notice, markup=False)
    return dbt.prepare(settings)


def store_of(settings: Settings) -> "ReleaseStore":
    """Releases of the home."""
    from orchestration.publishing.store import ReleaseStore

    return ReleaseStore(settings.home, memory_limit=settings.config.memory_limit)


def specs_of(settings: Settings) -> "Mapping[str, MartSpec]":
    """What the project declares of its marts."""
    from orchestration.marts import read_specs
    from orchestration.warehouse import dbt

    prepare_home(settings)
    return read_specs(dbt.read_manifest(settings))
