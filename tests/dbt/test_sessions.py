"""fct_sessions against its oracle, on directed edges."""
# ruff: noqa: DTZ001 - timestamps of the lake are naive UTC

from datetime import date, datetime, timedelta

import pytest

from tests.dbt.comparison import assert_same
from tests.dbt.facts import (
    Rows,
    event,
    landed,
    utc,
)
from tests.dbt.harness import DbtProject
from tests.oracles.reporting import Facts
from tests.oracles.sessions import sessions

EVENT_NAMES = {"view": "page_viewed"}
LATER = date(2024, 6, 30)


def check(project: DbtProject, facts: Facts) -> dict[tuple[str, int], dict]:
    """Compare, and return the expected rows."""
    reporting = project.reporting(LATER)
    expected = sessions(facts, reporting, EVENT_NAMES)
    got = project.run("fct_sessions", facts, reporting, event_names=EVENT_NAMES)
    assert_same(got, ("person_id", "session_number"), expected)
    return expected


DAY = datetime(2024, 2, 29)


def visits(project: DbtProject, *after: float | timedelta, day: datetime = DAY, name: str = "x", **ids) -> Rows:
    """Events of one visitor at times after the start of a day (seconds, or as given)."""
    start = utc(project.reporting(LATER).timezone, day)
    ids = ids or {"anonymous_id": "a1"}
    steps = [step if isinstance(step, timedelta) else timedelta(seconds=step) for step in after]
    name_of = " ".join(ids.values())
    return [event(number, name, start + step, event_id=f"{name_of} {step}", **ids) for number, step in enumerate(steps)]


def sizes(rows: dict[tuple[str, int], dict], person_id: str = "a:a1") -> list[int]:
    """Events of each session of a person."""
    return [row["event_count"] for key, row in sorted(rows.items()) if key[0] == person_id]


@pytest.mark.parametrize(("over", "expected"), [(-1, [2]), (0, [2]), (1, [1, 1])])
@pytest.mark.parametrize("hour", [0, 9.123])
def test_a_session_ends_when_more_than_the_gap_has_passed(
    shanghai: DbtProject, over: int, expected: list[int], hour: float
) -> None:
    """To the microsecond, and wherever the windows of the clock lie."""
    start = timedelta(hours=hour)
    silence = shanghai.reporting(LATER).session_gap + timedelta(microseconds=over)
    assert sizes(check(shanghai, {"events": visits(shanghai, start, start + silence)})) == expected


def test_the_gap_is_configured(new_york: DbtProject) -> None:
    """45 minutes here."""
    rows = visits(new_york, *(timedelta(hours=9, minutes=minutes) for minutes in (0, 44, 89, 134.00001)))
    assert sizes(check(new_york, {"events": rows})) == [3, 1]


def test_midnight_ends_a_session_where_it_is_said_to(shanghai: DbtProject, new_york: DbtProject) -> None:
    through = {project: check(project, {"events": visits(project, -0.000001, 0, 60)}) for project in (shanghai, new_york)}
    assert [sizes(rows) for rows in through.values()] == [[3], [1, 2]]
    assert through[shanghai]["a:a1", 1]["session_date"] == date(2024, 2, 28)
    assert through[new_york]["a:a1", 2]["session_date"] == DAY.date()


def test_two_devices_at_once_are_one_session(shanghai: DbtProject) -> None:
    """Neither device alone is never silent for half an hour; one event of each ties them to u1."""
    rows = visits(shanghai, 0, 3_000, 6_000, anonymous_id="desk") + visits(shanghai, 1_500, 4_500, 7_700, anonymous_id="phone")
    rows += visits(shanghai, 40_000, anonymous_id="desk", user_id="u1") + visits(
        shanghai, 40_000, anonymous_id="phone", user_id="u1"
    )
    expected = check(shanghai, {"events": rows})
    assert sizes(expected, "u:u1") == [6, 2]
    assert expected["u:u1", 1]["length_seconds"] == 7_700


def test_a_session_within_another_device_s_does_not_end_it(shanghai: DbtProject) -> None:
    """The phone's session lies within the desk's: what follows is held against the desk's last event."""
    rows = visits(shanghai, 0, 1_000, 2_000, 3_000, user_id="u1", anonymous_id="desk")
    rows += visits(shanghai, 100, user_id="u1", anonymous_id="phone") + visits(shanghai, 4_700, user_id="u1")
    assert sizes(check(shanghai, {"events": rows}), "u:u1") == [6]


def test_a_session_may_last_over_two_midnights(shanghai: DbtProject) -> None:
    """Every 29 minutes from an evening to the morning after the next, on six devices, since one alone would be a bot's."""
    devices = [f"a{number}" for number in range(6)]
    steps = range(-1, 51 * 60 // 29)
    rows = [row for step in steps for row in visits(shanghai, 29 * 60 * step, anonymous_id=devices[step % len(devices)])]
    rows += [row for device in devices for row in visits(shanghai, 0, anonymous_id=device, user_id="u1")]
    expected = check(shanghai, {"events": rows})
    assert sizes(expected, "u:u1") == [len(rows)]
    session = expected["u:u1", 1]
    assert session["session_date"] == date(2024, 2, 28)
    assert session["ended_at"] - session["started_at"] > timedelta(days=2)


def test_a_leap_day_is_a_day(new_york: DbtProject) -> None:
    rows = visits(new_york, *(timedelta(hours=hours) for hours in (-0.1, 0, 23.9, 24)))
    expected = check(new_york, {"events": rows})
    assert [row["session_date"] for _, row in sorted(expected.items())] == [
        date(2024, 2, 28),
        DAY.date(),
        DAY.date(),
        date(2024, 3, 1),
    ]


@pytest.mark.parametrize(("day", "hours"), [(datetime(2024, 3, 10), 23), (datetime(2023, 11, 5), 25)])
def test_a_day_ends_when_the_clocks_say_so(new_york: DbtProject, day: datetime, hours: int) -> None:
    """The last microsecond of a day of 23 or 25 hours, and the first of the next."""
    end = timedelta(hours=hours)
    rows = visits(new_york, 0, end - timedelta(minutes=1), end - timedelta(microseconds=1), end, day=day)
    expected = check(new_york, {"events": rows})
    assert sizes(expected) == [1, 2, 1]
    assert [row["session_date"] for _, row in sorted(expected.items())][1:] == [day.date(), day.date() + timedelta(days=1)]


def test_nobody_has_no_session(shanghai: DbtProject) -> None:
    assert check(shanghai, {"events": []}) == {}


def test_one_event_is_a_session_of_no_length(shanghai: DbtProject) -> None:
    row = check(shanghai, {"events": visits(shanghai, 0, name="view")})["a:a1", 1]
    assert (row["length_seconds"], row["event_count"], row["depth"], row["started_at"]) == (0, 1, 1, row["ended_at"])


def test_pages_and_touch_are_those_of_the_first_and_the_last(shanghai: DbtProject) -> None:
    """Ties in time: of two pages the smaller is landed on, the larger is left from; the smaller id brings the touch."""
    start = utc(shanghai.reporting(LATER).timezone, DAY)
    seen = [
        (3, 0, "/b", "weibo", "a1"),
        (2, 0, None, "newsletter", "a2"),
        (4, 0, "/c", None, "a2"),
        (5, 60, "/z", None, "a1"),
        (6, 90, "/m", None, "a1"),
        (7, 90, "/n", None, "a2"),
        (8, 99, None, None, "a1"),
    ]
    rows = [
        event(
            number,
            "x",
            start + timedelta(seconds=after),
            anonymous_id=device,
            user_id="u1",
            page=page,
            utm_source=source,
            utm_medium=None,
            utm_campaign=None,
            referrer=None,
        )
        for number, after, page, source, device in seen
    ]
    row = check(shanghai, {"events": rows})["u:u1", 1]
    assert (row["landing_page"], row["exit_page"], row["channel"], row["utm_source"]) == ("/b", "/n", "email", "newsletter")


def test_bots_and_staff_have_no_sessions(shanghai: DbtProject) -> None:
    staff = {"user_id": "u1", "is_internal": True, "signed_up_at": DAY}
    rows = visits(shanghai, *range(shanghai.config.bot_events_per_day + 1)) + visits(shanghai, 0, user_id="u1", anonymous_id="a2")
    rows += visits(shanghai, 9, anonymous_id="a2")
    assert check(shanghai, {"events": rows, "users": [landed(staff, 1, date(2024, 3, 1))]}) == {}
