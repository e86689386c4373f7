"""Oracle of fct_sessions and int_identity__last_touches: a person's events one after another, cut where they fall silent.

Belongs here: sessions, and the touches that led to conversions. Does not belong here: who the persons are (`persons`).
"""

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from tests.oracles.milestones import milestones
from tests.oracles.persons import NO_PURCHASE, Event, channel_of, counted, cut, latest_state, people, touch_of
from tests.oracles.reporting import Facts, Reporting

LOOK_BACK = timedelta(days=30)


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


def last_touches(facts: Facts, reporting: Reporting) -> dict[tuple[str, str], dict[str, Any]]:
    """Rows by (person_id, conversion), internal persons left out; who paid and nothing else has no channel."""
    found = people(facts, reporting)
    facts = counted(facts, reporting)
    converted: dict[tuple[str, str], datetime] = {}
    for person_id, person in found.persons.items():
        if person.signed_up_at is not None:
            converted[person_id, "signup"] = person.signed_up_at
    for order in latest_state(facts.get("orders", ()), ["order_id"]):
        if (order.get("status") or "").lower() not in NO_PURCHASE:
            key = found.identities.of_user(order["user_id"]), "first_order"
            converted[key] = min(converted.get(key, order["ordered_at"]), order["ordered_at"])
    for person_id, name, at in milestones(facts, reporting):
        if name == "subscription_paid":
            converted[person_id, "first_payment"] = at
    touches: dict[str, list[tuple[datetime, str]]] = defaultdict(list)
    for (person_id, _), session in sorted(sessions(facts, reporting).items()):
        touches[person_id].append((session["started_at"], session["channel"]))
    return {
        (person_id, conversion): {
            "converted_at": at,
            "first_touch_channel": found.persons[person_id].channel if person_id in found.persons else None,
            "last_touch_channel": _last([touch for touch in touches[person_id] if at - LOOK_BACK <= touch[0] <= at]),
        }
        for (person_id, conversion), at in converted.items()
        if person_id not in found.internal
    }


def _last(touches: list[tuple[datetime, str]]) -> str | None:
    """The channel of the last touch that was not direct; direct when all were; None without any."""
    campaigns = [touch for touch in touches if touch[1] != "direct"]
    return max(campaigns or touches)[1] if touches else None


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
