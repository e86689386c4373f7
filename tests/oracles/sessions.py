"""Oracle of fct_sessions: a person's events one after another, cut where they fall silent.

Belongs here: sessions. Does not belong here: who the persons are (`persons`).
"""

from collections import defaultdict
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from tests.oracles.persons import Event, channel_of, cut, people, touch_of
from tests.oracles.reporting import Facts, Reporting


def sessions(
    facts: Facts, reporting: Reporting, event_names: Mapping[str, str] | None = None
) -> dict[tuple[str, int], dict[str, Any]]:
    """Rows by (person_id, session_number)."""
    events_of: dict[str, list[Event]] = defaultdict(list)
    for event in people(facts, reporting, event_names).events:
        events_of[event.person_id].append(event)
    return {
        (person_id, number): _row(session, reporting)
        for person_id, events in events_of.items()
        for number, session in enumerate(cut(events, reporting), start=1)
    }


def _row(events: list[Event], reporting: Reporting) -> dict[str, Any]:
    first, last, touch = events[0], events[-1], touch_of(events)
    pages = [(event.at, event.row["page"]) for event in events if event.row.get("page") is not None]
    return {
        "session_date": first.day,
        "started_at": first.at,
        "ended_at": last.at,
        "length_seconds": (last.at - first.at) / timedelta(seconds=1),
        "event_count": len(events),
        "depth": sum(event.name == "page_viewed" for event in events),
        "landing_page": min(pages)[1] if pages else None,
        "exit_page": max(pages)[1] if pages else None,
        "channel": channel_of(
            touch["utm_source"], touch["utm_medium"], touch["referrer"], touch["click_id"], reporting.ignored_referrers
        ),
    } | touch
