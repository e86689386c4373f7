"""The engagement oracle against examples worked out by hand."""
# ruff: noqa: DTZ001 - timestamps of the lake are naive UTC

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from tests.oracles.engagement import engagement_days
from tests.oracles.reporting import Reporting

# Midnight in Shanghai.
MIDNIGHT = datetime(2024, 2, 27, 16)
DAY = date(2024, 2, 28)


def seen(who: str, days: float, name: str = "x", **more) -> dict:
    place = {"arrived_date": date(2024, 3, 1), "landed_file": "a", "landed_row": 1}
    at = MIDNIGHT + timedelta(days=days)
    return {"event_id": f"{who} {days} {name} {more}", "event": name, "occurred_at": at, "anonymous_id": who, **place, **more}


def rows_of(*events: dict, through: int = 3, segment: tuple[str, str] = ("all", "all")) -> list[dict]:
    """Rows of a segment in order of days, from the first."""
    reporting = Reporting(ZoneInfo("Asia/Shanghai"), DAY + timedelta(days=through))
    rows = engagement_days({"events": events}, reporting)
    return [row for key, row in sorted(rows.items()) if key[1:] == segment]


def column(rows: list[dict], name: str) -> list:
    return [row[name] for row in rows]


def test_movements_of_three_persons_over_a_leap_day() -> None:
    """Days counted from 28 February: p on 0, 1 and 3; q on 1; r on 1 and 2."""
    rows = rows_of(seen("p", 0), seen("p", 1.9), seen("q", 1), seen("r", 1), seen("r", 2), seen("p", 3), seen("p", 4))
    assert column(rows, "active_count") == [1, 3, 1, 1]
    assert column(rows, "new_count") == [1, 2, 0, 0]
    assert column(rows, "retained_count") == [0, 1, 1, 0]
    assert column(rows, "resurrected_count") == [0, 0, 0, 1]
    assert column(rows, "dormant_count") == [0, 0, 2, 1]
    assert column(rows, "wau") == column(rows, "mau") == [1, 3, 3, 3]
    assert column(rows, "streak_days_avg") == [1, 4 / 3, 2, 1]
    assert column(rows, "stickiness_rate") == [1, 1, 1 / 3, 1 / 3]


def test_trailing_windows_have_seven_and_thirty_days() -> None:
    rows = rows_of(seen("p", 0), through=31)
    assert column(rows, "wau") == [1] * 7 + [0] * 25
    assert column(rows, "mau") == [1] * 30 + [0] * 2
    assert rows[30]["stickiness_rate"] is None
    assert rows[1]["streak_days_avg"] is None
    assert rows[1]["features_used_avg"] is None


def test_features_core_and_sessions_of_a_day() -> None:
    """Of p two distinct features in a session of 20 minutes and one of none, of q a match in one of 4 minutes."""
    minute = 1 / (24 * 60)
    rows = rows_of(
        seen("p", 0.5, "feature_used", feature="board"),
        seen("p", 0.5 + 10 * minute, "feature_used", feature="board"),
        seen("p", 0.5 + 20 * minute, "feature_used", feature="export"),
        seen("p", 0.9, "feature_used"),
        seen("q", 0.1, "match_requested"),
        seen("q", 0.1 + 4 * minute, "value_achieved"),
        through=0,
    )
    [row] = rows
    assert (row["session_count"], row["session_minutes_avg"], row["session_minutes_median"]) == (3, 8, 4)
    assert (row["features_used_avg"], row["core_feature_user_count"]) == (1, 1)


def test_a_segment_begins_with_its_first_active_day() -> None:
    events = [seen("p", 0), seen("q", 2, utm_source="newsletter", city_tier=2)]
    assert column(rows_of(*events), "active_count") == [1, 0, 1, 0]
    assert column(rows_of(*events, segment=("channel", "direct")), "active_count") == [1, 0, 0, 0]
    assert column(rows_of(*events, segment=("channel", "email")), "new_count") == [1, 0]
    assert column(rows_of(*events, segment=("city_tier", "2")), "wau") == [1, 1]
    assert column(rows_of(*events, segment=("role", "(none)")), "active_count") == [1, 0, 1, 0]
