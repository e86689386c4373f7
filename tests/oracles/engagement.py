"""Oracle of mart_engagement__daily: for every day and segment the sets of persons that were active, and what they did.

Belongs here: active days, trailing windows, movements, runs of days, what a day's sessions and features come to. Does not belong
here: who the persons are (`persons`) or where a session ends (`sessions`).
"""

import math
from collections import defaultdict
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from tests.oracles.delivery import delivery
from tests.oracles.funnel import quantile
from tests.oracles.persons import people
from tests.oracles.reporting import Facts, Reporting
from tests.oracles.sessions import sessions

DIMENSIONS = ("channel", "device", "country", "city_tier", "role")
CORE_FEATURE_EVENTS = frozenset({"match_requested", "value_achieved"})
Key = tuple[date, str, str]


def engagement_days(
    facts: Facts, reporting: Reporting, event_names: Mapping[str, str] | None = None
) -> dict[Key, dict[str, Any]]:
    """Rows by (date, dimension, segment): every day of a segment from its first active one to data_through."""
    found = people(facts, reporting, event_names)
    active: dict[str, set[date]] = defaultdict(set)
    core: set[tuple[str, date]] = set()
    features: dict[tuple[str, date], set[str]] = defaultdict(set)
    for event in found.events:
        if event.day <= reporting.data_through:
            active[event.person_id].add(event.day)
            if event.name in CORE_FEATURE_EVENTS:
                core.add((event.person_id, event.day))
            if event.name == "feature_used" and event.row.get("feature") is not None:
                features[event.person_id, event.day].add(event.row["feature"])
    minutes: dict[tuple[str, date], list[float]] = defaultdict(list)
    for (person_id, _), session in sessions(facts, reporting, event_names).items():
        minutes[person_id, session["session_date"]].append(session["length_seconds"] / 60)

    members: dict[tuple[str, str], list[str]] = defaultdict(list)
    for person_id in active:
        for dimension, segment in found.persons[person_id].segments(DIMENSIONS):
            members[dimension, str(segment)].append(person_id)

    told = delivery({"events": facts.get("events", ())}, reporting, event_names)
    has_core = any(f"events.event={name}" in told for name in CORE_FEATURE_EVENTS)
    rows: dict[Key, dict[str, Any]] = {}
    for (dimension, segment), persons in members.items():
        day = min(min(active[person_id]) for person_id in persons)
        while day <= reporting.data_through:
            yesterday = day - timedelta(days=1)
            today = [person_id for person_id in persons if day in active[person_id]]
            before = [person_id for person_id in persons if yesterday in active[person_id]]
            new = [person_id for person_id in today if min(active[person_id]) == day]
            retained = [person_id for person_id in today if person_id in before]
            lengths = [length for person_id in persons for length in minutes[person_id, day]]
            month = _seen(persons, active, day, 30)
            rows[day, dimension, segment] = {
                "active_count": len(today),
                "wau": _seen(persons, active, day, 7),
                "mau": month,
                "stickiness_rate": len(today) / month if month else None,
                "new_count": len(new),
                "retained_count": len(retained),
                "resurrected_count": sum(1 for person_id in today if person_id not in new and person_id not in retained),
                "dormant_count": sum(1 for person_id in before if person_id not in today),
                "session_count": len(lengths),
                "session_minutes_avg": math.fsum(lengths) / len(lengths) if lengths else None,
                "session_minutes_median": quantile(lengths, 0.5) if lengths else None,
                "features_used_avg": _mean([len(features[person_id, day]) for person_id in today])
                if "events.feature" in told
                else None,
                "core_feature_user_count": sum(1 for person_id in today if (person_id, day) in core) if has_core else None,
                "streak_days_avg": _mean([_streak(active[person_id], day) for person_id in today]),
            }
            day += timedelta(days=1)
    return rows


def _seen(persons: list[str], active: Mapping[str, set[date]], day: date, days: int) -> int:
    """How many persons were active in the trailing days, the day itself included."""
    window = {day - timedelta(days=back) for back in range(days)}
    return sum(1 for person_id in persons if active[person_id] & window)


def _streak(days: set[date], day: date) -> int:
    """Length of the run of active days that ends on this one."""
    length = 0
    while day - timedelta(days=length) in days:
        length += 1
    return length


def _mean(values: list[int]) -> float | None:
    return sum(values) / len(values) if values else None
