"""Counts in messages."""

import pytest

from orchestration.base.counts import counted


@pytest.mark.parametrize(
    ("count", "noun", "said"),
    [(0, "row", "0 rows"), (1, "row", "1 row"), (2, "arrival day", "2 arrival days"), (1234, "row", "1,234 rows")],
)
def test_a_count_is_singular_for_one_alone(count: int, noun: str, said: str) -> None:
    assert counted(count, noun) == said
