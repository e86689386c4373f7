"""Who answers for which assets."""

from enum import StrEnum


class Owner(StrEnum):
    """Owners as Dagster knows them: an address."""

    PLATFORM = "data-platform@northstar.example"
    GROWTH = "growth-data@northstar.example"
    SCIENCE = "data-science@northstar.example"
