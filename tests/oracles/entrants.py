"""Oracle of int_funnel__entrants: what was known of a person at the instant at which it entered a funnel.

Belongs here: the session of an entry, the plan in force at it, and what has no history (role, industry). Does not belong here:
which entries there are (`funnel`), sessions (`sessions`), rates (`ltv`).
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from tests.oracles.ltv import Rates
from tests.oracles.persons import Person, latest_state
from tests.oracles.reporting import Facts, Reporting, Row
from tests.oracles.sessions import sessions

IN_FORCE = frozenset({"active", "past_due", "trialing"})


class Entrants:
    """Segments of a person at an instant; ValueError where two subscriptions need a rate to be compared that is not known."""

    def __init__(self, facts: Facts, reporting: Reporting, event_names: Mapping[str, str] | None = None) -> None:
        self._reporting = reporting
        self._rates = Rates(facts, reporting)
        self._sessions: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for (person_id, _), session in sessions(facts, reporting, event_names).items():
            self._sessions[person_id].append(session)
        self._histories: dict[str, list[Row]] = defaultdict(list)
        for row in latest_state(facts.get("subscriptions", ()), ["subscription_id", "changed_at"]):
            self._histories[row["subscription_id"]].append(row)
        self._accounts = {row["account_id"]: row for row in latest_state(facts.get("accounts", ()), ["account_id"])}

    def segments(self, person: Person, at: datetime) -> Iterator[tuple[str, str]]:
        """The (dimension, segment) pairs in which a person that enters at an instant counts."""
        begun = [session for session in self._sessions[person.person_id] if session["started_at"] <= at]
        session = max(begun, key=lambda one: one["started_at"], default={})
        yield "all", "all"
        for dimension, value in {
            "channel": session.get("channel"),
            "device": session.get("device_type"),
            "country": session.get("country"),
            "city_tier": session.get("city_tier"),
            "plan": self._plan(person.account_id, at),
            "role": person.role,
            "industry": self._accounts.get(person.account_id or "", {}).get("industry"),
        }.items():
            yield dimension, "(none)" if value is None else str(value)

    def _plan(self, account_id: str | None, at: datetime) -> str | None:
        """Plan of the largest subscription that an account has at an instant, of equal ones that of the smallest id."""
        found: list[tuple[Decimal, str, str]] = []
        for subscription_id, history in self._histories.items():
            changes = [row for row in history if row["changed_at"] <= at]
            state = max(changes, key=lambda row: row["changed_at"], default=None)
            if state and account_id and state["account_id"] == account_id and state["status"] in IN_FORCE:
                mrr = self._rates.convert(state["mrr"], state["currency"], self._reporting.day(state["changed_at"]))
                found.append((-(mrr or Decimal(0)), subscription_id, state["plan"]))
        return min(found)[2] if found else None
