"""mart_data_quality__daily against its oracle, on directed faults."""
# ruff: noqa: DTZ001 - timestamps of the lake are naive UTC

from collections.abc import Mapping
from datetime import date, datetime, timedelta

import pytest

from orchestration.landing.contract import CONTRACT, Keep
from tests.dbt.comparison import assert_same
from tests.dbt.facts import Rows, event, landed
from tests.dbt.harness import DbtProject
from tests.oracles.quality import HAPPENED, IMMUTABLE, KEYS, STATES, quality_daily
from tests.oracles.reporting import Arrival, Facts, arrivals_of

MART = "mart_data_quality__daily"
KEY = ("date", "source")
LATER = date(2024, 9, 30)
DAY = date(2024, 3, 1)
NOON = datetime(2024, 2, 29, 4)


def check(project: DbtProject, facts: Facts, arrivals: Mapping[tuple[str, date], Arrival] | None = None) -> dict:
    """Compare, and return the expected rows."""
    reporting = project.reporting(LATER)
    counted = arrivals_of(facts) if arrivals is None else arrivals
    expected = quality_daily(facts, reporting, counted)
    assert_same(project.run(MART, facts, reporting, arrivals=counted), KEY, expected)
    return expected


def test_keys_and_times_are_those_of_the_contract() -> None:
    assert {name: source.key for name, source in CONTRACT.items()} == {"events": ("event_id",), **KEYS}
    assert {name: CONTRACT[name].happened_at for name in HAPPENED} == HAPPENED
    assert HAPPENED.keys() | set(STATES) == CONTRACT.keys()
    assert {name for name, source in CONTRACT.items() if source.keep is Keep.FIRST} == {"events", *IMMUTABLE}


def seen(*rows: tuple[str, str, date], at: datetime = NOON, **more) -> Rows:
    """Events (id, user, arrival day)."""
    return [
        landed(event(number, "x", at, user_id=user) | {"event_id": event_id, **more}, number, arrived)
        for number, (event_id, user, arrived) in enumerate(rows)
    ]


def test_nothing_landed(shanghai: DbtProject) -> None:
    assert check(shanghai, {}) == {}


@pytest.mark.parametrize("source", ["events", "users", "orders"])
def test_rows_that_the_lake_lost_are_a_difference(shanghai: DbtProject, source: str) -> None:
    """The lake's files say three, two are found."""
    rows = {
        "events": seen(("e1", "u1", DAY), ("e2", "u1", DAY)),
        "users": [landed({"user_id": user, "signed_up_at": NOON}, 1, DAY) for user in ("u1", "u2")],
        "orders": [
            landed({"order_id": order, "user_id": "u1", "ordered_at": NOON, "amount": 1, "currency": "USD"}, 1, DAY)
            for order in ("o1", "o2")
        ],
    }[source]
    sound = check(shanghai, {source: rows})[DAY, source]
    assert (sound["landing_difference"], sound["fact_difference"]) == (0, 0)
    short = check(shanghai, {source: rows}, {(source, DAY): Arrival(3, 3)})[DAY, source]
    assert (short["landing_difference"], short["fact_difference"], short["accepted_count"]) == (0, 1, 2)


@pytest.mark.parametrize(("arrival", "difference"), [(Arrival(5, 1, 3), 1), (Arrival(4, 1, 3), 0), (Arrival(3, 1, 3), -1)])
def test_rows_lost_between_landing_and_lake_are_a_difference(shanghai: DbtProject, arrival: Arrival, difference: int) -> None:
    row = check(shanghai, {"events": seen(("e1", "u1", DAY))}, {("events", DAY): arrival})[DAY, "events"]
    assert (row["landing_difference"], row["fact_difference"], row["quarantined_count"]) == (difference, 0, 3)
    assert row["accepted_rate"] == 1 / arrival.landed


def test_a_day_that_was_not_folded_is_a_difference(shanghai: DbtProject) -> None:
    """A later night that forgets a day on which something happened: the mart says how many events are not in the facts."""
    first, second = seen(("e1", "u1", DAY)), seen(("e2", "u1", DAY), ("e3", "u1", DAY), at=NOON + timedelta(days=3))
    check(shanghai, {"events": first})
    reporting = shanghai.reporting(LATER)
    (row,) = shanghai.run(MART, {"events": first + second}, reporting, replaced_days=[])
    assert (row["fact_difference"], row["accepted_count"]) == (2, 1)
    (row,) = shanghai.run(MART, {"events": first + second}, reporting, replaced_days=[reporting.day(NOON + timedelta(days=3))])
    assert (row["fact_difference"], row["accepted_count"]) == (0, 3)


def test_a_day_on_which_all_was_refused_has_no_rate_of_its_own(shanghai: DbtProject) -> None:
    rows = check(shanghai, {}, {("events", DAY): Arrival(2, 0, 2), ("orders", DAY): Arrival(0, 0, 0)})
    events_row, orders_row = rows[DAY, "events"], rows[DAY, "orders"]
    assert (events_row["accepted_count"], events_row["accepted_rate"], events_row["bot_count"]) == (0, 0, 0)
    assert (orders_row["accepted_rate"], orders_row["arrival_delay_days_p50"]) == (None, None)


def test_copies_count_where_they_landed(shanghai: DbtProject) -> None:
    """e1 was received first where it landed last; e2 lies twice in one file."""
    later = DAY + timedelta(days=1)
    rows = seen(("e1", "u1", DAY), ("e2", "u1", DAY), ("e2", "u1", DAY))
    rows += [landed({**rows[0], "received_at": rows[0]["received_at"] - timedelta(seconds=1)}, 9, later)]
    expected = check(shanghai, {"events": rows})
    assert [(expected[day, "events"]["accepted_count"], expected[day, "events"]["duplicate_count"]) for day in (DAY, later)] == [
        (1, 2),
        (1, 0),
    ]


def test_a_state_that_a_later_one_replaced_is_a_duplicate(shanghai: DbtProject) -> None:
    """A state without a time of its own is as old as its arrival."""
    states = [(DAY, datetime(2024, 3, 2, 1)), (date(2024, 3, 2), None), (date(2024, 3, 3), datetime(2024, 1, 1))]
    users = [
        landed({"user_id": "u1", "signed_up_at": NOON, "updated_at": updated_at}, number, arrived)
        for number, (arrived, updated_at) in enumerate(states)
    ]
    expected = check(shanghai, {"users": users})
    assert [row["accepted_count"] for _, row in sorted(expected.items())] == [1, 0, 0]
    assert [row["late_count"] for row in expected.values()] == [None] * 3


def test_of_one_state_landed_twice_the_last_stays(shanghai: DbtProject) -> None:
    days = (date(2024, 3, 2), DAY)
    state = {"account_id": "c1", "created_at": NOON, "updated_at": NOON}
    expected = check(shanghai, {"accounts": [landed(state, number, day) for number, day in enumerate(days)]})
    assert [expected[day, "accounts"]["accepted_count"] for day in days] == [1, 0]


def test_a_bot_of_the_staff_counts_as_a_bot(shanghai: DbtProject) -> None:
    """u1 is u2 by the device that they share; what a bot did, staff or not, is a bot's."""
    limit = shanghai.config.bot_events_per_day
    rows = seen(*((f"bot{number}", "u1", DAY) for number in range(limit + 1)))
    rows += seen(("e1", "u2", DAY), ("e2", "u2", DAY), anonymous_id="a1", at=NOON + timedelta(days=2))
    rows += seen(("e3", "u1", DAY), anonymous_id="a1", at=NOON + timedelta(days=2))
    rows += seen(("e4", "u3", DAY), at=NOON + timedelta(days=2))
    staff = landed({"user_id": "u1", "signed_up_at": NOON, "is_internal": True}, 1, DAY)
    tickets = [
        landed({"ticket_id": f"t{user}", "user_id": user, "opened_at": NOON}, number, DAY)
        for number, user in enumerate(("u1", "u2", "u3", None))
    ]
    expected = check(shanghai, {"events": rows, "users": [staff], "tickets": tickets})
    assert (expected[DAY, "events"]["bot_count"], expected[DAY, "events"]["internal_count"]) == (limit + 1, 3)
    assert (expected[DAY, "tickets"]["bot_count"], expected[DAY, "tickets"]["internal_count"]) == (None, 2)


@pytest.mark.parametrize(
    ("delays", "late", "median", "p95"),
    [
        ([1], 0, 1, 1),
        ([2], 1, 2, 2),
        ([-1, 0], 0, -1, 0),
        ([0, 1, 1, 2], 1, 1, 2),
        ([0] * 19 + [150], 1, 0, 0),
        ([0] * 18 + [1, 150], 1, 0, 1),
        ([0] * 18 + [2, 150, 150], 3, 0, 150),
    ],
)
def test_delays_are_those_of_rows(shanghai: DbtProject, delays: list[int], late: int, median: int, p95: int) -> None:
    """Of every row in the lake, in whole days of the reporting time zone; clocks that run ahead give less than none."""
    happened = [datetime(2024, 3, 1, 15, 59) - timedelta(days=delay) for delay in delays]
    rows = [
        landed({"response_id": f"r{number}", "responded_at": at, "kind": "nps", "score": 9}, number, DAY)
        for number, at in enumerate(happened)
    ]
    row = check(shanghai, {"surveys": rows})[DAY, "surveys"]
    assert (row["late_count"], row["arrival_delay_days_p50"], row["arrival_delay_days_p95"]) == (late, median, p95)


def test_repeats_and_conflicts_are_told_apart(shanghai: DbtProject) -> None:
    """Of each key one row stays; the others say the same, whenever they were written or received, or something else."""
    seen_once = event(1, "x", NOON, user_id="u1")
    changes = [{}, {"received_at": NOON + timedelta(hours=1)}, {"page": "/other"}, {"user_id": "u2"}]
    first = [landed(seen_once | change, number, DAY) for number, change in enumerate(changes)]
    order = {"order_id": "o1", "user_id": "u1", "ordered_at": NOON, "amount": 1, "currency": "USD"}
    written = [
        order | {"updated_at": NOON, "status": "paid"},
        order | {"updated_at": NOON + timedelta(hours=1), "status": "returned"},
        order | {"updated_at": NOON + timedelta(hours=2), "status": "returned"},
    ]
    spend = {"spend_date": NOON.date(), "utm_source": "google", "currency": "USD"}
    costs = [spend | {"cost": cost} for cost in (1, 1, 2)]
    expected = check(
        shanghai,
        {
            "events": first,
            "orders": [landed(row, number, DAY) for number, row in enumerate(written)],
            "ad_spend": [landed(row, number, DAY) for number, row in enumerate(costs)],
        },
    )
    counts = {
        source: tuple(expected[DAY, source][f"{name}_count"] for name in ("duplicate", "repeat", "conflict"))
        for source in ("events", "orders", "ad_spend")
    }
    assert counts == {"events": (3, 1, 2), "orders": (2, 1, 1), "ad_spend": (1, 1, 0)}
