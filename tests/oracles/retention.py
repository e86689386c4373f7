"""Oracle of mart_retention__cohort: for every cohort and published period, who came back.

Belongs here: cohorts, returns, the three rules, maturity of a cell. Does not belong here: who the persons are (`persons`).
"""

import csv
from collections import defaultdict
from datetime import date, timedelta
from functools import cache
from typing import Any

from tests.oracles.persons import NO_PURCHASE, SEEDS, first_landed, people
from tests.oracles.reporting import Facts, Reporting

GRAINS = ("day", "week", "month")
Key = tuple[str, str, str, date, str, str, int]


def retention_cohorts(facts: Facts, reporting: Reporting) -> dict[Key, dict[str, Any]]:
    """Rows by (cohort_event, rule, cohort_grain, cohort_start, dimension, segment, period_index); cells that have begun."""
    found = people(facts, reporting)
    seen: dict[str, set[date]] = defaultdict(set)
    for event in found.events:
        seen[event.person_id].add(event.day)
    ordered: dict[str, set[date]] = defaultdict(set)
    for order in first_landed(facts.get("orders", ()), ["order_id"]):
        if (order.get("status") or "").lower() not in NO_PURCHASE:
            ordered[found.identities.of_user(order["user_id"])].add(reporting.day(order["ordered_at"]))

    joined: dict[str, dict[str, date]] = {"first_seen": {}, "signup": {}, "first_order": {}}
    for person_id, person in found.persons.items():
        if person.is_internal:
            continue
        if seen[person_id]:
            joined["first_seen"][person_id] = min(seen[person_id])
        if person.signed_up_at is not None:
            joined["signup"][person_id] = reporting.day(person.signed_up_at)
        if ordered[person_id]:
            joined["first_order"][person_id] = min(ordered[person_id])

    rows: dict[Key, dict[str, Any]] = {}
    for cohort_event, days in joined.items():
        active = ordered if cohort_event == "first_order" else seen
        for grain in GRAINS:
            cohorts: dict[tuple[date, str, str], list[set[int]]] = defaultdict(list)
            for person_id, day in days.items():
                start = reporting.period(grain, day)
                # A return is on the day of joining or later: what came before was no return.
                returned = {reporting.index(grain, start, other) for other in active[person_id] if other >= day}
                for dimension, segment in found.persons[person_id].segments():
                    cohorts[start, dimension, segment].append(returned)
            for (start, dimension, segment), members in cohorts.items():
                for rule, first, last in published_periods(grain):
                    if reporting.shift(grain, start, first) <= reporting.data_through:
                        is_mature = reporting.shift(grain, start, last + 1) - timedelta(days=1) <= reporting.data_through
                        retained = sum(1 for returned in members if _is_retained(rule, returned, first, last))
                        rows[cohort_event, rule, grain, start, dimension, segment, first] = {
                            "cohort_count": len(members),
                            "retained_count": retained if is_mature else None,
                            "retention_rate": retained / len(members) if is_mature else None,
                            "is_mature": is_mature,
                        }
    return rows


@cache
def published_periods(grain: str) -> list[tuple[str, int, int]]:
    """(rule, period_index, last index) that are published for cohorts of a grain."""
    with (SEEDS / "retention_periods.csv").open(encoding="utf-8", newline="") as file:
        return [
            (row["rule"], int(row["period_index"]), int(row["last_index"]))
            for row in csv.DictReader(file)
            if row["cohort_grain"] == grain
        ]


def _is_retained(rule: str, returned: set[int], first: int, last: int) -> bool:
    if rule == "on_or_after":
        return any(index >= first for index in returned)
    return any(first <= index <= last for index in returned)
