"""Who answers for which assets."""

from typing import Final


class Owner:
    """Owners as Dagster knows them: an address, as plain text, since it stores no enums of others."""

    PLATFORM: Final = "data-platform@northstar.example"
    GROWTH: Final = "growth-data@northstar.example"
    SCIENCE: Final = "data-science@northstar.example"
