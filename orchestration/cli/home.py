"""The home that a command works on: its code location, its releases and its marts.

Belongs here: access to a home shared by several groups of commands. Does not belong here: reading settings (`config`).
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
    """Prepare the code location; returns the dbt project if it had to be parsed."""
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
    """The project's declared marts."""
    from orchestration.marts import read_specs
    from orchestration.warehouse import dbt

    prepare_home(settings)
    return read_specs(dbt.read_manifest(settings))
