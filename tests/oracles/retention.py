"""Oracle of mart_retention__cohort: for every cohort and published period, who came back.

Belongs here: cohorts, returns, the three rules, maturity of a cell. Does not belong here: who the persons are (`persons`).
"""

import csv
from collections import defaultdict
from dataclasses import replace
from datetime import date, timedelta
from functools import cache
from typing import Any

from tests.oracles.delivery import delivery
from tests.oracles.ltv import _customer, customer_amounts
from tests.oracles.mrr import state_on
from tests.oracles.persons import NO_PURCHASE, SEEDS, People, Person, counted, latest_state, people
from tests.oracles.reporting import Facts, Reporting, Row

GRAINS = ("day", "week", "month")
Key = tuple[str, str, str, date, str, str, int]


def retention_cohorts(facts: Facts, reporting: Reporting) -> dict[Key, dict[str, Any]]:
    """Rows by (cohort_event, rule, cohort_grain, cohort_start, dimension, segment, period_index); cells that have begun."""
    found = people(facts, reporting)
    facts = counted(facts, reporting)
    seen: dict[str, set[date]] = defaultdict(set)
    for event in found.events:
        seen[event.person_id].add(event.day)
    ordered: dict[str, set[date]] = defaultdict(set)
    for order in latest_state(facts.get("orders", ()), ["order_id"]):
        if (order.get("status") or "").lower() not in NO_PURCHASE:
            ordered[found.identities.of_user(order["user_id"])].add(reporting.day(order["ordered_at"]))

    joined: dict[str, dict[str, date]] = {"first_seen": {}, "signup": {}, "first_order": {}, "first_payment": {}}
    for person_id, person in found.persons.items():
        if person.is_internal:
            continue
        if seen[person_id]:
            joined["first_seen"][person_id] = min(seen[person_id])
        if person.signed_up_at is not None:
            joined["signup"][person_id] = reporting.day(person.signed_up_at)
        if ordered[person_id]:
            joined["first_order"][person_id] = min(ordered[person_id])

    tells = {"signup": "events", "first_payment": "subscriptions"}
    accounts, paid = _paying_accounts(facts, reporting, found)
    for account_id, account in accounts.items():
        if account.first_seen_day is not None and not account.is_internal:
            joined["first_payment"][account_id] = account.first_seen_day

    for cohort_event, source in tells.items():
        # Who joined before anything could tell of a return is in no cohort.
        first = _first_month(facts, source, reporting)
        joined[cohort_event] = {
            person_id: day for person_id, day in joined[cohort_event].items() if first is not None and day >= first
        }

    rows: dict[Key, dict[str, Any]] = {}
    for cohort_event, days in joined.items():
        active = {"first_order": ordered, "first_payment": paid}.get(cohort_event, seen)
        for grain in GRAINS:
            cohorts: dict[tuple[date, str, str], list[set[int]]] = defaultdict(list)
            for person_id, day in days.items():
                start = reporting.period(grain, day)
                # A return is on the day of joining or later: what came before was no return. An account pays at a period's end.
                returned = {
                    reporting.index(grain, start, other)
                    for other in active[person_id]
                    if other >= day and (cohort_event != "first_payment" or other == _last_day(grain, other, reporting))
                }
                for dimension, segment in (accounts if cohort_event == "first_payment" else found.persons)[person_id].segments():
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


def _paying_accounts(facts: Facts, reporting: Reporting, found: People) -> tuple[dict[str, Person], dict[str, set[date]]]:
    """Accounts that ever paid, their first day being that of their first payment; and the days at whose end each pays."""
    accounts: dict[str, Person] = {}
    for amount in customer_amounts(facts, reporting, found):
        if amount.is_payment and amount.customer_id.startswith("c:"):
            known = accounts.get(amount.customer_id) or _customer(amount.customer_id, facts, found)
            accounts[amount.customer_id] = replace(known, first_seen_day=min(known.first_seen_day or amount.day, amount.day))
    histories: dict[str, list[Row]] = defaultdict(list)
    for row in latest_state(facts.get("subscriptions", ()), ["subscription_id", "changed_at"]):
        histories[row["subscription_id"]].append(row)
    paid: dict[str, set[date]] = defaultdict(set)
    for history in histories.values():
        history.sort(key=lambda row: row["changed_at"])
        day = reporting.day(history[0]["changed_at"])
        while day <= reporting.data_through:
            if state := state_on(history, day, reporting):
                paid[f"c:{state[0]['account_id']}"].add(day)
            day += timedelta(days=1)
    return accounts, paid


def _first_month(facts: Facts, source: str, reporting: Reporting) -> date | None:
    delivered = delivery({source: facts.get(source, ())}, reporting).get(source)
    return None if delivered is None else reporting.period("month", delivered.happened)


def _last_day(grain: str, day: date, reporting: Reporting) -> date:
    return reporting.shift(grain, reporting.period(grain, day), 1) - timedelta(days=1)


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
