"""Oracle of int_funnel__milestones: what a person reached by being active, or by a payment, and not by an event of its own.

Belongs here: steps that a funnel may name and nobody sends. Does not belong here: who the persons are (`persons`), or
chains (`funnel`).
"""

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime

from tests.oracles.persons import counted, latest_state, paid_kind, people
from tests.oracles.reporting import Facts, Reporting


def milestones(
    facts: Facts, reporting: Reporting, event_names: Mapping[str, str] | None = None
) -> list[tuple[str, str, datetime]]:
    """(person, milestone, time): the third distinct active day after the first value's, and the first subscription payment."""
    found = people(facts, reporting, event_names)
    facts = counted(facts, reporting)
    reached: list[tuple[str, str, datetime]] = []
    for person_id in {event.person_id for event in found.events}:
        events = [event for event in found.events if event.person_id == person_id]
        values = [event.at for event in events if event.name == "value_achieved"]
        if values:
            later = sorted({event.day for event in events if event.day > reporting.day(min(values))})
            if len(later) >= 3:
                reached.append((person_id, "active_on_third_day", min(event.at for event in events if event.day == later[2])))
    paid: dict[str, list[datetime]] = defaultdict(list)
    for payment in latest_state(facts.get("payments", ()), ["payment_id"]):
        if payment["status"] == "succeeded" and paid_kind(payment) == "subscription":
            if payment.get("user_id"):
                payers = [payment["user_id"]]
            else:
                account_id = payment.get("account_id")
                payers = [user_id for user_id, user in found.users.items() if account_id and user.get("account_id") == account_id]
            for user_id in payers:
                paid[found.identities.of_user(user_id)].append(payment["paid_at"])
    reached += [(person_id, "subscription_paid", min(times)) for person_id, times in paid.items()]
    return reached
