"""mart_funnel__entry against its oracle, on random visitors and on directed edges."""
# ruff: noqa: DTZ001 - timestamps of the lake are naive UTC

from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.settings import Funnel
from tests.dbt.comparison import assert_same
from tests.dbt.facts import RANDOM, event, events, journeys, landed, last_day, users, utc
from tests.dbt.funnels import EVENT_NAMES, NAMES, funnel, funnels, shipped
from tests.dbt.harness import DbtProject
from tests.oracles.funnel import FunnelSpec, funnel_entries

MART = "mart_funnel__entry"
KEY = ("funnel", "entry_grain", "entry_start", "dimension", "segment", "step_number")


def check(project: DbtProject, facts, data_through: date, defined: list[tuple[Funnel, FunnelSpec]]) -> dict:
    """Compare, and return the expected rows."""
    reporting = project.reporting(data_through)
    expected = funnel_entries(facts, reporting, [spec for _, spec in defined] + shipped(), EVENT_NAMES)
    got = project.run(MART, facts, reporting, funnels=[configured for configured, _ in defined], event_names=EVENT_NAMES)
    assert_same(got, KEY, expected)
    return expected


def compare(project: DbtProject, data: st.DataObject) -> None:
    zone = project.reporting(date(2024, 1, 1)).timezone
    defined = data.draw(funnels())
    windows = [spec.window_seconds for _, spec in defined if spec.window_seconds]
    facts = {
        "events": data.draw(events(zone, NAMES, project.config.bot_events_per_day, size=20))
        + data.draw(journeys(zone, [step.event for step in defined[0][1].steps], windows)),
        "users": data.draw(users(zone)),
    }
    check(project, facts, last_day(zone, facts) + timedelta(days=data.draw(st.integers(0, 9))), defined)


@settings(RANDOM, max_examples=28)
@given(data=st.data())
def test_funnels_of_random_visitors(shanghai: DbtProject, data: st.DataObject) -> None:
    compare(shanghai, data)


@settings(RANDOM, max_examples=8)
@given(data=st.data())
def test_funnels_where_days_have_23_hours_and_weeks_begin_on_sunday(new_york: DbtProject, data: st.DataObject) -> None:
    compare(new_york, data)


@settings(RANDOM, max_examples=15)
@given(data=st.data())
def test_funnels_that_ask_for_an_event_again(shanghai: DbtProject, data: st.DataObject) -> None:
    """Steps drawn from two events; nobody does two things at once."""
    visited = data.draw(
        st.lists(
            st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from((1, 20, 59, 60, 61))), max_size=9), min_size=4, max_size=8
        )
    )
    rows: list[dict] = []
    for person, steps in enumerate(visited):
        now = at(shanghai, seconds=-90)
        for name, gap in steps:
            now += timedelta(seconds=gap)
            rows.append(event(len(rows), name, now, anonymous_id=f"p{person}"))
    defined = [
        funnel(f"f{number}", window, [(step, None) for step in data.draw(st.text("ab", min_size=2, max_size=5))])
        for number, window in enumerate(("1m", "90m", None))
    ]
    check(shanghai, {"events": rows}, date(2024, 3, 5), defined)


DAY = datetime(2024, 2, 29)


def at(project: DbtProject, **after: float) -> datetime:
    return utc(project.reporting(date(2024, 1, 1)).timezone, DAY) + timedelta(**after)


def visits(project: DbtProject, steps: list[tuple[str, float]], **ids) -> list[dict]:
    """Events of one visitor: (name, seconds after the start of the leap day)."""
    ids = ids or {"anonymous_id": "a1"}
    return [event(number, name, at(project, seconds=seconds), **ids) for number, (name, seconds) in enumerate(steps)]


def counts(rows: dict, name: str, grain: str = "day") -> list[list[int]]:
    """Persons per step, for each entry period in order."""
    starts = sorted({key[2] for key in rows if key[0] == name and key[1] == grain})
    picked = {key: row for key, row in rows.items() if key[0] == name and key[1] == grain and key[3] == "all"}
    return [
        [row["person_count"] for key, row in sorted(picked.items(), key=lambda item: item[0][5]) if key[2] == start]
        for start in starts
    ]


@pytest.mark.parametrize(
    ("steps", "visited", "reached"),
    [
        (["a", "a"], [("a", 0)], [1, 0]),
        (["a", "a"], [("a", 0), ("a", 1)], [1, 1]),
        (["a", "a", "a"], [("a", 0), ("a", 1)], [1, 1, 0]),
        (["a", "b", "a"], [("a", 0), ("b", 1)], [1, 1, 0]),
        (["a", "b", "a"], [("a", 0), ("b", 1), ("a", 2)], [1, 1, 1]),
        (["a", "b", "a"], [("a", 0), ("a", 1), ("b", 2), ("a", 3), ("b", 4)], [1, 1, 1]),
        (["a", "b", "a", "b"], [("b", 0), ("a", 1), ("b", 2), ("a", 3), ("b", 4)], [1, 1, 1, 1]),
        (["a", "a", "b"], [("a", 0), ("a", 59), ("a", 61), ("b", 62)], [1, 1, 1]),
        (["a", "b", "a"], [("a", 0), ("b", 0), ("a", 0.000001)], [1, 1, 1]),
    ],
)
def test_a_repeated_step_takes_another_event(shanghai: DbtProject, steps, visited, reached) -> None:
    defined = [funnel("repeated", "1m", [(step, None) for step in steps])]
    expected = check(shanghai, {"events": visits(shanghai, visited)}, date(2024, 3, 5), defined)
    assert counts(expected, "repeated") == [reached]


@pytest.mark.parametrize(("after", "reached"), [(59.999999, [1, 1]), (60, [1, 1]), (60.000001, [1, 0])])
def test_the_window_is_inclusive_to_the_microsecond(shanghai: DbtProject, after: float, reached: list[int]) -> None:
    defined = [funnel("edge", "1m", [("a", None), ("b", None)])]
    expected = check(shanghai, {"events": visits(shanghai, [("a", 0), ("b", after)])}, date(2024, 3, 5), defined)
    assert counts(expected, "edge") == [reached]


def test_a_funnel_without_a_window_has_no_limit_and_never_matures(shanghai: DbtProject) -> None:
    defined = [funnel("endless", None, [("a", None), ("b", None)])]
    expected = check(shanghai, {"events": visits(shanghai, [("a", 0), ("b", 86_400 * 400)])}, date(2026, 3, 5), defined)
    assert counts(expected, "endless") == [[1, 1]]
    assert not any(row["is_mature"] for row in expected.values())


def test_a_person_counts_once_per_period_with_its_deepest_chain(shanghai: DbtProject) -> None:
    day = 86_400
    visited = [("a", 0), ("a", day), ("b", day + 10), ("a", day + 20), ("b", day + 30), ("c", day + 40), ("a", 2 * day)]
    defined = [funnel("deep", "1m", [("a", None), ("b", None), ("c", None)])]
    expected = check(shanghai, {"events": visits(shanghai, visited)}, date(2024, 3, 5), defined)
    assert counts(expected, "deep") == [[1, 0, 0], [1, 1, 1], [1, 0, 0]]
    assert counts(expected, "deep", "week") == [[1, 1, 1]]
    # Both starts of the second day reach the end at the same moment: the later one counts.
    assert expected["deep", "day", date(2024, 3, 1), "all", "all", 2]["average_seconds_from_previous"] == 10


@pytest.mark.parametrize(("through", "is_mature"), [(date(2024, 3, 1), False), (date(2024, 3, 2), True)])
def test_a_day_matures_when_its_window_is_over(shanghai: DbtProject, through: date, is_mature: bool) -> None:
    defined = [funnel("ripe", "2d", [("a", None), ("b", None)])]
    expected = check(shanghai, {"events": visits(shanghai, [("a", 0)])}, through, defined)
    assert expected["ripe", "day", DAY.date(), "all", "all", 1]["is_mature"] is is_mature
    assert expected["ripe", "month", date(2024, 2, 1), "all", "all", 1]["is_mature"] is is_mature
    assert expected["ripe", "week", date(2024, 2, 26), "all", "all", 1]["is_mature"] is False
    assert expected["ripe", "all", DAY.date(), "all", "all", 1]["is_mature"] is False


def test_a_user_is_no_anonymous_visitor_of_the_same_id(shanghai: DbtProject) -> None:
    """Ids of users and of devices are separate: only their own events make a visitor a bot."""
    limit = shanghai.config.bot_events_per_day
    rows = [event(number, "a", at(shanghai, seconds=number), user_id="7") for number in range(limit)]
    rows += [event(limit + number, "a", at(shanghai, seconds=number), anonymous_id="7") for number in range(limit)]
    defined = [funnel("ids", "1m", [("a", None), ("b", None)])]
    expected = check(shanghai, {"events": rows}, date(2024, 3, 5), defined)
    assert counts(expected, "ids") == [[2, 0]]


def test_a_bot_owns_no_anonymous_id(shanghai: DbtProject) -> None:
    """What a1 does alone belongs to u1, though a bot was seen with it before; the bot's other days count."""
    count = shanghai.config.bot_events_per_day + 1
    rows = [event(number, "a", at(shanghai, seconds=number), anonymous_id="a1", user_id="bot") for number in range(count)]
    rows += [event(100, "b", at(shanghai, days=1), user_id="bot")]
    rows += [event(101, "a", at(shanghai, days=2), anonymous_id="a1", user_id="u1")]
    rows += [
        event(102, "b", at(shanghai, days=2, seconds=1), user_id="u1"),
        event(103, "c", at(shanghai, days=2, seconds=2), anonymous_id="a1"),
    ]
    defined = [funnel("own", "1m", [("a", None), ("b", None), ("c", None)])]
    expected = check(shanghai, {"events": rows}, date(2024, 3, 5), defined)
    assert counts(expected, "own") == [[1, 1, 1]]


def test_one_person_with_many_events(shanghai: DbtProject) -> None:
    limit = shanghai.config.bot_events_per_day
    visited = [
        ("abcde"[(number * number) % 5], 86_400 * (number // limit) + 3_600 * (number % limit)) for number in range(40 * limit)
    ]
    defined = [funnel("busy", "1d", [(step, None) for step in "abced"]), funnel("brief", "1h", [("a", None), ("b", None)])]
    check(shanghai, {"events": visits(shanghai, visited, user_id="u1")}, date(2024, 6, 1), defined)


def test_the_shipped_funnel_with_its_milestones(shanghai: DbtProject) -> None:
    """All eight steps of two users, of whom one pays herself and one through the account; the milestones are no events."""
    names = ["page_viewed", "signup_started", "signup_completed", "logged_in", "onboarding_completed", "value_achieved"]
    rows = []
    for user_id, anonymous_id in (("u1", "a1"), ("u2", "a2"), ("u3", "a3"), ("u4", "a4")):
        for number, name in enumerate(names):
            ids = {"anonymous_id": anonymous_id} if number < 2 else {"anonymous_id": anonymous_id, "user_id": user_id}
            rows.append(event(len(rows), name, at(shanghai, minutes=number), **ids))
        # Active later on the day of the value, twice on one day, and on the third day; u3 only on two days.
        for days in (0.5, 1, 1.25, 4) if user_id == "u3" else (0.5, 1, 1.25, 4, 9):
            rows.append(event(len(rows), "feature_used", at(shanghai, days=days), user_id=user_id))
    members = {"u1": None, "u2": "c1", "u3": "c1", "u4": "c2"}
    facts = {
        "events": rows,
        "users": [
            landed(
                {"user_id": user_id, "account_id": account_id, "signed_up_at": at(shanghai, minutes=2)}, number, date(2024, 3, 1)
            )
            for number, (user_id, account_id) in enumerate(members.items())
        ],
        "payments": [
            landed(
                {"payment_id": f"p{number}", "currency": "USD", "amount": Decimal(10), **payment},
                number,
                date(2024, 3, 20),
            )
            for number, payment in enumerate(
                [
                    {"user_id": "u1", "kind": "subscription", "status": "failed", "paid_at": at(shanghai, days=1)},
                    {"user_id": "u1", "kind": "service", "status": "succeeded", "paid_at": at(shanghai, days=2)},
                    {"user_id": "u1", "kind": "subscription", "status": "succeeded", "paid_at": at(shanghai, days=30)},
                    {"account_id": "c1", "status": "succeeded", "paid_at": at(shanghai, days=20)},
                    {"account_id": "c1", "status": "succeeded", "paid_at": at(shanghai, days=15)},
                    # u4 paid before being active for the third time: the order of the steps is broken.
                    {"account_id": "c2", "kind": "subscription", "status": "succeeded", "paid_at": at(shanghai, days=5)},
                ]
            )
        ],
    }
    expected = check(shanghai, facts, date(2024, 4, 30), [])
    assert counts(expected, "plg") == [[4, 4, 4, 4, 4, 4, 3, 2]]
    assert expected["plg", "day", DAY.date(), "all", "all", 8]["p90_seconds_from_previous"] == pytest.approx(
        (6 + 0.9 * 15) * 86_400
    )


def test_a_configured_funnel_replaces_the_shipped_one_and_may_name_a_landed_event(shanghai: DbtProject) -> None:
    configured, spec = funnel("shop", "1h", [("shout", None), ("b", None)])
    facts = {"events": visits(shanghai, [("a", 0), ("b", 1), ("shout", 5), ("b", 6)])}
    reporting = shanghai.reporting(date(2024, 3, 5))
    expected = funnel_entries(facts, reporting, [spec, *(one for one in shipped() if one.name != "shop")], EVENT_NAMES)
    assert_same(shanghai.run(MART, facts, reporting, funnels=[configured], event_names=EVENT_NAMES), KEY, expected)
    assert counts(expected, "shop") == [[1, 1]]
    assert expected["shop", "day", DAY.date(), "all", "all", 1]["entrant_count"] == 1
