"""Owners of assets: the team that an asset names, as Dagster shows it.

Belongs here: the teams that code assigns, and their addresses at a site. Does not belong here: owners of dbt's models and marts,
which `dbt_project.yml` assigns, and which teams there are (`config.values`).
"""

from collections.abc import Callable, Mapping
from typing import Final

import dagster as dg

_PREFIX = "team:"


class Owner:
    """The teams as owners; plain text, since Dagster stores no enums of others."""

    PLATFORM: Final = f"{_PREFIX}platform"
    SCIENCE: Final = f"{_PREFIX}science"


def of_team(team: str) -> str:
    """Return the owner that Dagster shows for a team whose address the site has not set."""
    return f"{_PREFIX}{team}"


def at_site(addresses: Mapping[str, str]) -> Callable[[dg.AssetSpec], dg.AssetSpec]:
    """Return a function that replaces the teams among a spec's owners by their addresses, as far as the site has set them."""
    by_owner = {of_team(team): address for team, address in addresses.items()}
    return lambda spec: spec.replace_attributes(owners=[by_owner.get(owner, owner) for owner in spec.owners])
