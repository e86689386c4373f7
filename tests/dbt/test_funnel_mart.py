"""mart_funnel__entry against its oracle, on directed edges."""
# ruff: noqa: DTZ001 - timestamps of the lake are naive UTC

from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.config.tables import Funnel
from tests.dbt.comparison import assert_same
from tests.dbt.facts import (
    event,
    examples,
    landed,
    utc,
)
from tests.dbt.funnels import EVENT_NAMES, FILTERS, funnel, shipped
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


@examples(6)
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


EDGES = [("brief", "1m", "ab"), ("long", "2d", "cd"), ("again", "1m", "eef")]


def test_seconds_days_and_years_end_where_they_end(shanghai: DbtProject) -> None:
    """Windows to the second, over the leap day and over the end of a week, a month and a year at once; steps of one second."""
    new_year, second = datetime(2024, 1, 1) - DAY, timedelta(seconds=1)
    visited = {
        "together": [("a", timedelta(0)), ("b", timedelta(0))],
        "in time": [("a", timedelta(0)), ("b", timedelta(seconds=60))],
        "late": [("a", timedelta(0)), ("b", timedelta(seconds=61))],
        "new year": [("c", new_year - second), ("d", new_year)],
        "leap day": [("c", timedelta(days=-1)), ("d", timedelta(days=1))],
        "leap second": [("c", timedelta(days=-1)), ("d", timedelta(days=1, seconds=1))],
        # Either of two at once may come first; a step is taken as early as can be.
        "thrice": [("e", timedelta(0)), ("e", timedelta(0)), ("e", 3 * second), ("f", 5 * second)],
    }
    rows = [
        event(number, name, at(shanghai) + after, event_id=f"{who} {number}", anonymous_id=who)
        for who, steps in visited.items()
        for number, (name, after) in enumerate(steps)
    ]
    defined = [funnel(name, window, [(step, None) for step in steps]) for name, window, steps in EDGES]
    expected = check(shanghai, {"events": rows}, date(2024, 3, 5), defined)
    assert counts(expected, "brief") == [[3, 2]]
    assert counts(expected, "long") == [[1, 1], [2, 1]]
    days = [{key[2] for key in expected if key[:2] == ("long", grain)} for grain in ("day", "week", "month")]
    assert days == [
        {date(2023, 12, 31), date(2024, 2, 28)},
        {date(2023, 12, 25), date(2024, 2, 26)},
        {date(2023, 12, 1), date(2024, 2, 1)},
    ]
    times = [expected["again", "day", DAY.date(), "all", "all", step]["average_seconds_from_previous"] for step in (2, 3)]
    assert times == [0, 5]


def test_twelve_steps_of_one_event_told_apart_by_filters(shanghai: DbtProject) -> None:
    """One person takes every step, another stumbles at the seventh, and what fits no filter is passed over."""
    filters = [FILTERS[number % len(FILTERS)] for number in range(12)]
    fitting = [
        *({"value": Decimal(10)} for _ in range(3)),
        {"properties": '{"plan": "pro"}'},
        {"properties": "{}"},
        {"properties": '{"plan": "free"}'},
        {"properties": '{"n": 5}'},
        {"page": "/a"},
        {"country": "DE"},
    ]
    nothing = {"value": None, "properties": '{"plan": "pro"}', "page": None, "country": None}
    rows: list[dict] = []
    for who in ("p", "q"):
        for number in range(12):
            row = nothing | fitting[number % len(fitting)]
            if who == "q" and number == 6:
                row["properties"] = '{"n": 4}'
            rows.append(event(len(rows), "a", at(shanghai, hours=3 * number), user_id=who, **row))
    defined = [funnel("dozen", "2d", [("a", where) for where in filters])]
    expected = check(shanghai, {"events": rows}, date(2024, 3, 5), defined)
    assert counts(expected, "dozen", "all") == [[2] * 6 + [1] * 6]


def test_an_entrant_is_counted_as_what_it_was_when_it_entered(shanghai: DbtProject) -> None:
    """On three days by other channels and devices, with two plans, with one and with none; the week takes the deeper chain."""
    first = {
        "utm_source": "google",
        "utm_medium": "cpc",
        "referrer": None,
        "device_type": "mobile",
        "country": "CN",
        "city_tier": 2,
    }
    second = {
        "utm_source": None,
        "utm_medium": None,
        "referrer": None,
        "device_type": "desktop",
        "country": "DE",
        "city_tier": None,
    }
    rows = [
        event(number, name, at(shanghai, hours=hours), user_id="u1", **touch)
        for number, (name, hours, touch) in enumerate(
            [("x", 0, first), ("a", 0.2, second), ("a", 24, second), ("b", 24.01, second), ("a", 50, first)]
        )
    ]
    states = [
        ("s1", -24, "professional", "0", "trialing"),
        ("s2", -24, "enterprise", "0", "trialing"),
        ("s1", -12, "custom", "5", "past_due"),
        ("s1", 24, "free", "0", "active"),
        ("s2", 24, "enterprise", "0", "canceled"),
        ("s1", 49, "free", "0", "canceled"),
    ]
    facts = {
        "events": rows,
        "users": [
            landed({"user_id": "u1", "account_id": "c1", "signed_up_at": at(shanghai), "role": "owner"}, 1, date(2024, 3, 1))
        ],
        "accounts": [landed({"account_id": "c1", "created_at": at(shanghai), "industry": "retail"}, 1, date(2024, 3, 1))],
        "subscriptions": [
            landed(
                {
                    "subscription_id": subscription,
                    "account_id": "c1",
                    "changed_at": at(shanghai, hours=hours),
                    "plan": plan,
                    "mrr": Decimal(mrr),
                    "currency": "USD",
                    "status": status,
                },
                number,
                date(2024, 3, 1),
            )
            for number, (subscription, hours, plan, mrr, status) in enumerate(states)
        ],
    }
    expected = check(shanghai, facts, date(2024, 3, 5), [funnel("f", "1h", [("a", None), ("b", None)])])

    def segments(grain: str, start: date) -> list[str]:
        keys = sorted(key for key in expected if key[:3] == ("f", grain, start) and key[5] == 1)
        assert [key[3] for key in keys] == ["all", "channel", "city_tier", "country", "device", "industry", "plan", "role"]
        return [key[4] for key in keys]

    assert segments("day", date(2024, 2, 29)) == ["all", "paid_search", "2", "CN", "mobile", "retail", "custom", "owner"]
    assert segments("day", date(2024, 3, 1)) == ["all", "direct", "(none)", "DE", "desktop", "retail", "free", "owner"]
    assert segments("day", date(2024, 3, 2)) == ["all", "paid_search", "2", "CN", "mobile", "retail", "(none)", "owner"]
    assert segments("week", date(2024, 2, 26)) == segments("day", date(2024, 3, 1))


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
    assert counts(expected, "ids") == [[2, None]]


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


def test_one_person_with_ten_thousand_events(shanghai: DbtProject) -> None:
    """As many a day as are no bot's; steps are among the first of them."""
    limit = shanghai.config.bot_events_per_day
    visited = [
        (
            "abcde"[(number * number) % 5] if number < 40 * limit else "x",
            86_400 * (number // limit) + 3_600 * (number % limit),
        )
        for number in range(10_000)
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
