"""Owners of assets: an asset's team in Dagster's form.

Belongs here: the teams assigned in code, and their addresses at a site. Does not belong here: owners of dbt's models and marts,
assigned in `dbt_project.yml`, and the list of teams (`config.values`).
"""

from collections.abc import Callable, Mapping
from typing import Final

import dagster as dg

_PREFIX = "team:"


class Owner:
    """The teams as owners; plain text, since Dagster cannot store foreign enums."""

    PLATFORM: Final = f"{_PREFIX}platform"
    SCIENCE: Final = f"{_PREFIX}science"


def of_team(team: str) -> str:
    """Return the owner shown for a team without a configured address."""
    return f"{_PREFIX}{team}"


def at_site(addresses: Mapping[str, str]) -> Callable[[dg.AssetSpec], dg.AssetSpec]:
    """Return a function that replaces teams among a spec's owners with their configured addresses."""
    by_owner = {of_team(team): address for team, address in addresses.items()}
    return lambda spec: spec.replace_attributes(owners=[by_owner.get(owner, owner) for owner in spec.owners])
