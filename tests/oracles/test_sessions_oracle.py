"""The session oracle against examples worked out by hand."""
# ruff: noqa: DTZ001 - timestamps of the lake are naive UTC

from dataclasses import replace
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from tests.oracles.reporting import Reporting
from tests.oracles.sessions import sessions

REPORTING = Reporting(ZoneInfo("Asia/Shanghai"), date(2024, 3, 31))
MIDNIGHT = datetime(2024, 2, 28, 16)


def seen(event_id: str, minutes: float, name: str = "x", **more) -> dict:
    place = {"arrived_date": date(2024, 3, 1), "landed_file": "a", "landed_row": 1}
    at = MIDNIGHT + timedelta(minutes=minutes)
    return {"event_id": event_id, "event": name, "occurred_at": at, "anonymous_id": "a1", **place, **more}


def test_a_silence_longer_than_the_gap_ends_a_session() -> None:
    events = [
        seen("e2", -10, "page_viewed", page="/b", utm_source="newsletter"),
        seen("e1", -10, page="/a"),
        seen("e3", 20, "page_viewed", page="/c", anonymous_id="a2", user_id="u1"),
        seen("e4", 20, page="/d", user_id="u1"),
        seen("e5", 50.000001),
    ]
    rows = sessions({"events": events}, REPORTING)
    first, second = rows["u:u1", 1], rows["u:u1", 2]
    assert len(rows) == 2
    assert (first["session_date"], first["length_seconds"], first["event_count"], first["depth"]) == (
        date(2024, 2, 28),
        1800,
        4,
        2,
    )
    assert (first["landing_page"], first["exit_page"], first["channel"]) == ("/a", "/d", "email")
    assert (second["session_date"], second["landing_page"], second["depth"]) == (date(2024, 2, 29), None, 0)
    cut_at_midnight = sessions({"events": events}, replace(REPORTING, sessions_end_at_midnight=True))
    assert [row["event_count"] for _, row in sorted(cut_at_midnight.items())] == [2, 2, 1]
