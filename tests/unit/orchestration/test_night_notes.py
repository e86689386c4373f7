"""What a night says of sources that ended."""

from datetime import date, timedelta

import pytest

from orchestration.night.sources import ended

LAST = date(2026, 3, 31)


def days(count: int, step: int = 1) -> list[date]:
    return sorted(LAST - timedelta(days=step * number) for number in range(count))


@pytest.mark.parametrize(
    ("history", "pause", "has_ended"),
    [
        (days(60), 0, False),
        (days(60), 30, False),
        (days(60), 31, True),
        (days(60), 10_220, True),
        # A source of one fact a month pauses for ten months before it is missed.
        (days(12, 30), 300, False),
        (days(12, 30), 301, True),
        (days(1), 30, False),
        (days(1), 31, True),
        ([], 1_000, False),
    ],
)
def test_a_source_has_ended_when_its_pauses_do_not_explain_it(history: list[date], pause: int, has_ended: bool) -> None:
    assert ended(history, LAST + timedelta(days=pause)) == (LAST if has_ended else None)
