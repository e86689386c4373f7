"""mart_engagement__daily against its oracle, on directed edges."""
# ruff: noqa: DTZ001 - timestamps of the lake are naive UTC

from datetime import date, datetime, timedelta

import pytest

from tests.dbt.comparison import assert_same
from tests.dbt.facts import Rows, event, landed, utc
from tests.dbt.harness import DbtProject
from tests.oracles.engagement import engagement_days
from tests.oracles.reporting import Facts

MART = "mart_engagement__daily"
KEY = ("date", "dimension", "segment")
EVENT_NAMES = {"asked": "match_requested"}
LEAP_DAY = date(2024, 2, 29)


def check(project: DbtProject, facts: Facts, data_through: date) -> dict:
    """Compare, and return the expected rows."""
    reporting = project.reporting(data_through)
    expected = engagement_days(facts, reporting, EVENT_NAMES)
    assert_same(project.run(MART, facts, reporting, event_names=EVENT_NAMES), KEY, expected)
    return expected


def visits(project: DbtProject, *days: float, name: str = "x", **more) -> Rows:
    """Events of one visitor, so many days after the start of the leap day."""
    start = utc(project.reporting(LEAP_DAY).timezone, datetime.combine(LEAP_DAY, datetime.min.time()))
    ids = more or {"anonymous_id": "a1"}
    return [
        event(number, name, start + timedelta(days=day), event_id=f"{ids} {name} {day}", **ids) for number, day in enumerate(days)
    ]


def column(rows: dict, name: str) -> list:
    return [row[name] for key, row in sorted(rows.items()) if key[1] == "all"]


@pytest.mark.parametrize(
    ("gap", "week", "month"),
    [
        (6, [1] * 13 + [0] * 23, [1] * 36),
        (7, [1] * 14 + [0] * 22, [1] * 36),
        (8, [1] * 7 + [0] + [1] * 7 + [0] * 21, [1] * 36),
        (29, [1] * 7 + [0] * 22 + [1] * 7, [1] * 36),
        (30, [1] * 7 + [0] * 23 + [1] * 6, [1] * 36),
        (31, [1] * 7 + [0] * 24 + [1] * 5, [1] * 30 + [0] + [1] * 5),
    ],
)
def test_the_windows_end_to_the_day(shanghai: DbtProject, gap: int, week: list[int], month: list[int]) -> None:
    """One person, back after so many days, looked at for 36."""
    expected = check(shanghai, {"events": visits(shanghai, 0, gap)}, LEAP_DAY + timedelta(days=35))
    assert (column(expected, "wau"), column(expected, "mau")) == (week, month)


def test_one_person_with_ten_thousand_events(shanghai: DbtProject) -> None:
    """As many a day as are no bot's, an hour apart: three years without a day off."""
    limit = shanghai.config.bot_events_per_day
    rows = visits(shanghai, *(number // limit + number % limit / 24 for number in range(10_000)))
    through = LEAP_DAY + timedelta(days=9_999 // limit)
    last = check(shanghai, {"events": rows}, through)[through, "all", "all"]
    assert (last["streak_days_avg"], last["mau"], last["session_count"]) == (9_999 // limit + 1, 1, 9_999 % limit + 1)


def test_days_without_anybody_close_the_movements(shanghai: DbtProject) -> None:
    expected = check(shanghai, {"events": visits(shanghai, 0, 1, 4)}, LEAP_DAY + timedelta(days=6))
    assert column(expected, "active_count") == [1, 1, 0, 0, 1, 0, 0]
    assert column(expected, "retained_count") == [0, 1, 0, 0, 0, 0, 0]
    assert column(expected, "resurrected_count") == [0, 0, 0, 0, 1, 0, 0]
    assert column(expected, "dormant_count") == [0, 0, 1, 0, 0, 1, 0]
    assert column(expected, "streak_days_avg") == [1, 2, None, None, 1, None, None]


def test_a_session_counts_on_the_day_on_which_it_began(shanghai: DbtProject, new_york: DbtProject) -> None:
    """Ten minutes over midnight: one session, or two where midnight ends it; active on both days either way."""
    minutes = 1 / (24 * 60)
    counts = [
        column(check(project, {"events": visits(project, -5 * minutes, 5 * minutes)}, LEAP_DAY), "session_count")
        for project in (shanghai, new_york)
    ]
    assert counts == [[1, 0], [1, 1]]


def test_a_user_on_two_devices_is_one_person_with_the_features_of_both(shanghai: DbtProject) -> None:
    """What the phone did before anybody signed in on it counts too."""
    rows = visits(shanghai, 0, name="feature_used", anonymous_id="phone") + visits(
        shanghai, 0.1, anonymous_id="phone", user_id="u1"
    )
    rows += visits(shanghai, 0.2, name="feature_used", anonymous_id="desk", user_id="u1")
    for row, feature in zip(rows, ("board", None, "export"), strict=True):
        row["feature"] = feature
    expected = check(shanghai, {"events": rows}, LEAP_DAY)
    assert (column(expected, "active_count"), column(expected, "features_used_avg")) == ([1], [2])


def test_the_core_of_the_product_may_have_other_names(shanghai: DbtProject) -> None:
    rows = visits(shanghai, 0, name="asked", user_id="u1") + visits(shanghai, 0, name="feature_used", user_id="u2")
    expected = check(shanghai, {"events": rows}, LEAP_DAY)
    assert (column(expected, "active_count"), column(expected, "core_feature_user_count")) == ([2], [1])


def test_what_nobody_ever_sent_is_unknown(shanghai: DbtProject) -> None:
    """A feature without a name is none; from the first core event on the days before it have 0."""
    rows = visits(shanghai, 0, name="feature_used", user_id="u1")
    for row in rows:
        row["feature"] = None
    expected = check(shanghai, {"events": rows}, LEAP_DAY)
    assert (column(expected, "features_used_avg"), column(expected, "core_feature_user_count")) == ([None], [None])
    rows += visits(shanghai, 1, name="value_achieved", user_id="u1")
    assert column(check(shanghai, {"events": rows}, LEAP_DAY + timedelta(days=1)), "core_feature_user_count") == [0, 1]


def test_staff_and_bots_are_not_active(shanghai: DbtProject) -> None:
    limit = shanghai.config.bot_events_per_day
    rows = visits(shanghai, *(number / 1_000 for number in range(limit + 1))) + visits(shanghai, 0, user_id="u1")
    rows += visits(shanghai, 1, user_id="u2")
    staff = landed({"user_id": "u1", "is_internal": True, "signed_up_at": datetime(2024, 2, 1)}, 1, LEAP_DAY)
    expected = check(shanghai, {"events": rows, "users": [staff]}, LEAP_DAY + timedelta(days=1))
    assert column(expected, "active_count") == [1]


def test_a_role_is_that_of_today_on_every_day(shanghai: DbtProject) -> None:
    """The user was a member when active first, and an owner later."""
    rows = visits(shanghai, 0, 1, user_id="u1")
    states = [
        landed({"user_id": "u1", "signed_up_at": datetime(2024, 2, 1), "role": role, "updated_at": at}, number, LEAP_DAY)
        for number, (role, at) in enumerate([("member", datetime(2024, 2, 29)), ("owner", datetime(2024, 3, 1))])
    ]
    expected = check(shanghai, {"events": rows, "users": states}, LEAP_DAY + timedelta(days=1))
    assert {key[2] for key in expected if key[1] == "role"} == {"owner"}


def test_nobody_gives_no_rows(shanghai: DbtProject) -> None:
    assert check(shanghai, {"events": []}, LEAP_DAY) == {}


def test_what_happened_after_the_last_complete_day_is_not_counted(shanghai: DbtProject) -> None:
    expected = check(shanghai, {"events": visits(shanghai, 0, 0.5, 1)}, LEAP_DAY)
    assert column(expected, "active_count") == [1]
    assert check(shanghai, {"events": visits(shanghai, 1)}, LEAP_DAY) == {}
