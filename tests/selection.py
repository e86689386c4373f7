"""How many cases and drawn examples every test run takes, and how many `make test-long`.

Belongs here: choosing by number and place, never by what a case holds. Does not belong here: the marker `long`, and hypothesis'
profiles (`conftest`).
"""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import settings


def usually(cases: Sequence[Any], count: int) -> list[Any]:
    """Mark all but `count` of the cases, spread evenly over the list, as long."""
    chosen = {place * len(cases) // count for place in range(count)}
    return [case if number in chosen else pytest.param(case, marks=pytest.mark.long) for number, case in enumerate(cases)]


def drawn(count: int) -> int:
    """How many examples to draw: `count`, and with random seeds (`make test-long`) fifteen times as many."""
    return count if settings().derandomize else 15 * count
