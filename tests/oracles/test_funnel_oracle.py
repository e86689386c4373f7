"""The funnel oracle against examples worked out by hand, and against a search without any cleverness."""
# ruff: noqa: DTZ001 - timestamps of the lake are naive UTC

import random
from datetime import date, datetime, timedelta
from itertools import pairwise, permutations
from zoneinfo import ZoneInfo

import pytest

from tests.oracles.funnel import FunnelSpec, Moment, Step, best_chains, funnel_entries, quantile
from tests.oracles.reporting import Reporting

START = datetime(2024, 2, 29, 4)
REPORTING = Reporting(ZoneInfo("Asia/Shanghai"), date(2024, 3, 2))


def moments(steps: str, *done: tuple[str, float]) -> list[Moment]:
    """What a person did, as candidates for the steps: (name, seconds)."""
    return [
        Moment(
            f"m{number}", START + timedelta(seconds=seconds), frozenset(index for index, step in enumerate(steps) if step == name)
        )
        for number, (name, seconds) in enumerate(done)
    ]


def seconds(chains: list[tuple[datetime, ...]]) -> list[list[float]]:
    return [[(at - START) / timedelta(seconds=1) for at in chain] for chain in chains]


@pytest.mark.parametrize(
    ("steps", "window", "done", "chains"),
    [
        ("ab", 10, [("a", 0), ("b", 10)], [[0, 10]]),
        ("ab", 10, [("a", 0), ("b", 10.000001)], [[0]]),
        ("ab", None, [("b", 0), ("a", 0)], [[0, 0]]),
        ("ab", 10, [("b", 0), ("a", 1)], [[1]]),
        ("abc", 10, [("a", 0), ("c", 1), ("b", 2), ("b", 3), ("c", 4), ("c", 5)], [[0, 2, 4]]),
        ("abc", 3, [("a", 0), ("a", 1), ("b", 2), ("c", 4)], [[0, 2], [1, 2, 4]]),
        ("aa", 10, [("a", 0)], [[0]]),
        ("aa", 10, [("a", 0), ("a", 0)], [[0, 0], [0, 0]]),
        ("aba", 10, [("a", 0), ("b", 0), ("a", 0)], [[0, 0, 0], [0, 0, 0]]),
    ],
)
def test_chains(steps, window, done, chains) -> None:
    assert seconds(best_chains(moments(steps, *done), len(steps), window)) == chains


def test_chains_are_those_of_an_exhaustive_search() -> None:
    """Every selection of events in every order is tried."""
    chance = random.Random(7)  # noqa: S311  (a test needs the same numbers every time)
    for _ in range(300):
        steps = "".join(chance.choices("abc", k=chance.randint(2, 4)))
        window = chance.choice((1, 3, None))
        done = moments(steps, *((chance.choice("abc"), chance.randint(0, 5)) for _ in range(chance.randint(1, 6))))
        found = []
        for start in sorted(done, key=lambda moment: (moment.at, moment.moment_id)):
            if 0 in start.steps:
                others = [moment for moment in done if moment is not start]
                chains = [
                    tuple(moment.at for moment in chosen)
                    for length in range(len(steps))
                    for rest in permutations(others, length)
                    for chosen in [(start, *rest)]
                    if all(index in moment.steps for index, moment in enumerate(chosen))
                    and all(earlier.at <= later.at for earlier, later in pairwise(chosen))
                    and (window is None or chosen[-1].at <= start.at + timedelta(seconds=window))
                ]
                found.append(min(chains, key=lambda chain: (-len(chain), chain[-1], chain)))
        assert best_chains(done, len(steps), window) == found


def test_a_period_takes_the_deepest_chain_that_ends_first_and_starts_last() -> None:
    place = {"arrived_date": date(2024, 3, 1), "landed_file": "a"}
    done = [("p", "a", 0), ("p", "a", 5), ("p", "b", 9), ("p", "a", 20), ("p", "b", 21), ("q", "a", 0), ("r", "b", 0)]
    events = [
        {
            "event_id": f"e{number}",
            "event": name,
            "anonymous_id": who,
            "occurred_at": START + timedelta(seconds=after),
            "landed_row": number,
            **place,
        }
        for number, (who, name, after) in enumerate(done)
    ]
    spec = FunnelSpec("f", (Step("one", "a"), Step("two", "b")), 10)
    rows = funnel_entries({"events": events}, REPORTING, [spec])
    first, second = (rows["f", "day", date(2024, 2, 29), "all", "all", number] for number in (1, 2))
    assert (first["entrant_count"], first["person_count"], first["previous_count"], first["conversion_rate"]) == (
        2,
        2,
        None,
        None,
    )
    assert (second["person_count"], second["previous_count"], second["conversion_rate"], second["drop_off_rate"]) == (
        1,
        2,
        0.5,
        0.5,
    )
    assert second["average_seconds_from_previous"] == second["p90_seconds_from_previous"] == 4
    assert {key[1]: (key[2], row["is_mature"]) for key, row in rows.items() if key[3] == "all"} == {
        "day": (date(2024, 2, 29), True),
        "week": (date(2024, 2, 26), False),
        "month": (date(2024, 2, 1), True),
        "all": (date(2024, 2, 29), False),
    }


def test_quantiles_interpolate() -> None:
    assert quantile([4, 1, 2, 3], 0.5) == 2.5
    assert quantile([10, 20], 0.9) == pytest.approx(19)
    assert quantile([7], 0.9) == 7
