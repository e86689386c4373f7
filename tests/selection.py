"""How many cases and drawn examples every test run takes, and how many `make test-long`.

Belongs here: choosing by number and place, never by what a case holds. Does not belong here: the marker `long`, and hypothesis'
profiles (`conftest`).
"""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings


def usually(cases: Sequence[Any], count: int) -> list[Any]:
    """Cases of which so many, spread over the list, run in every test run; the others are long."""
    chosen = {place * len(cases) // count for place in range(count)}
    return [case if number in chosen else pytest.param(case, marks=pytest.mark.long) for number, case in enumerate(cases)]


def examples(count: int, *, makes_smaller: bool = False) -> settings:
    """So many drawn examples, and with random seeds (`make test-long`) ten times as many.

    makes_smaller: look for the smallest example that fails, which tries hundreds of them; where models are built for each, add it
    while looking for the reason of a failure.
    """
    again = 1 if settings().derandomize else 10
    phases = (Phase.explicit, Phase.reuse, Phase.generate)
    return settings(
        max_examples=count * again,
        phases=(*phases, Phase.shrink) if makes_smaller else phases,
        suppress_health_check=(
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
            HealthCheck.large_base_example,
            HealthCheck.function_scoped_fixture,
        ),
    )
