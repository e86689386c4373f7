"""Oracle of mart_data_quality__daily: what became of every row that landed.

Belongs here: which row of a key stays, whose it is, how late it came. Does not belong here: who the persons are (`persons`).
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from tests.oracles.persons import first_landed, latest_spend, latest_state, people, unique_events, without_bots
from tests.oracles.reporting import Arrival, Facts, Reporting, Row

KEYS = {
    "users": ("user_id",),
    "accounts": ("account_id",),
    "subscriptions": ("subscription_id", "changed_at"),
    "payments": ("payment_id",),
    "orders": ("order_id",),
    "ad_spend": ("spend_date", "utm_source", "utm_medium", "utm_campaign", "utm_content", "ad_id"),
    "tickets": ("ticket_id",),
    "surveys": ("response_id",),
    "feedback": ("feedback_id",),
    "wecom": ("interaction_id",),
    "outcomes": ("account_id", "measured_at"),
    "exposures": ("experiment_id", "unit_id", "variant"),
    "fx_rates": ("rate_date", "currency"),
    "erasures": ("user_id",),
}
STATES = ("users", "accounts")
IMMUTABLE = ("exposures", "fx_rates")
BESIDE = ("updated_at", "received_at", "arrived_date", "landed_file", "landed_row")
OF_USERS = ("users", "payments", "orders", "tickets", "surveys", "feedback", "wecom")
HAPPENED = {
    "events": "occurred_at",
    "subscriptions": "changed_at",
    "payments": "paid_at",
    "orders": "ordered_at",
    "ad_spend": "spend_date",
    "tickets": "opened_at",
    "surveys": "responded_at",
    "feedback": "created_at",
    "wecom": "occurred_at",
    "outcomes": "measured_at",
    "exposures": "exposed_at",
    "fx_rates": "rate_date",
    "erasures": "requested_at",
}


def quality_daily(
    facts: Facts, reporting: Reporting, arrivals: Mapping[tuple[str, date], Arrival]
) -> dict[tuple[date, str], dict[str, Any]]:
    """Rows by (date, source), one for each arrival that was counted."""
    found = people(facts, reporting)
    # A refund that names nobody is of whoever paid what it gives back.
    payers = {row["payment_id"]: row for row in accepted("payments", facts) if row["status"] == "succeeded"}
    humans = {row["event_id"] for row in without_bots(accepted("events", facts), reporting)}
    staying = {source: _by_day(accepted(source, facts)) for source in ("events", *KEYS)}
    landed = {source: _by_day(facts.get(source, ())) for source in ("events", *KEYS)}
    conflicts = {source: _conflicts(source, facts) for source in ("events", *KEYS)}

    def is_internal(source: str, row: Row) -> bool:
        if source == "events":
            return row["event_id"] in humans and found.identities.of_row(row) in found.internal
        if source == "payments" and row["status"] == "refunded" and not row.get("user_id") and not row.get("account_id"):
            row = payers.get(row.get("refund_of") or "", row)
        user_id = row.get("user_id")
        return user_id is not None and found.identities.of_user(user_id) in found.internal

    rows: dict[tuple[date, str], dict[str, Any]] = {}
    for (source, day), arrival in arrivals.items():
        kept, here = staying[source][day], landed[source][day]
        delays = _delays(source, here, day, reporting)
        rows[day, source] = {
            "landed_count": arrival.landed,
            "accepted_count": len(kept),
            "quarantined_count": arrival.quarantined,
            "duplicate_count": len(here) - len(kept),
            "repeat_count": len(here) - len(kept) - conflicts[source][day],
            "conflict_count": conflicts[source][day],
            "late_count": None if source in ("users", "accounts") else sum(delay >= 2 for delay in delays),
            "bot_count": sum(row["event_id"] not in humans for row in kept) if source == "events" else None,
            "internal_count": sum(is_internal(source, row) for row in kept) if kept and source in ("events", *OF_USERS) else None,
            "accepted_rate": len(kept) / arrival.landed if arrival.landed else None,
            "landing_difference": arrival.landed - arrival.lake - arrival.quarantined,
            "fact_difference": arrival.lake - len(here),
            "arrival_delay_days_p50": _percentile(delays, 50),
            "arrival_delay_days_p95": _percentile(delays, 95),
        }
    return rows


def accepted(source: str, facts: Facts) -> list[Row]:
    """The rows of a source that stay: one per key."""
    rows = facts.get(source, ())
    if source == "events":
        return unique_events(rows)
    if source == "ad_spend":
        return latest_spend(rows)
    return (first_landed if source in IMMUTABLE else latest_state)(rows, KEYS[source])


def _conflicts(source: str, facts: Facts) -> Counter[date]:
    """Rows by arrival day that do not stay and say something else than what stays of their key."""
    key = KEYS.get(source, ("event_id",))

    def said(row: Row) -> tuple[Any, ...]:
        content = {name: value for name, value in row.items() if name not in BESIDE and value is not None}
        return (*((row.get(name) or "") for name in key), *sorted(content.items(), key=str))

    kept = accepted(source, facts)
    staying, places = {said(row) for row in kept}, {_place(row) for row in kept}
    rows = (row for row in facts.get(source, ()) if _place(row) not in places)
    return Counter(row["arrived_date"] for row in rows if said(row) not in staying)


def _place(row: Row) -> tuple[Any, ...]:
    return row["arrived_date"], row["landed_file"], row["landed_row"]


def _by_day(rows: Any) -> dict[date, list[Row]]:
    found: dict[date, list[Row]] = defaultdict(list)
    for row in rows:
        found[row["arrived_date"]].append(row)
    return found


def _delays(source: str, rows: list[Row], arrived: date, reporting: Reporting) -> list[int]:
    """Days from happening to arrival, of every row of a source of dated facts."""
    if source in STATES:
        return []
    moments = [row[HAPPENED[source]] for row in rows]
    return [(arrived - (reporting.day(at) if isinstance(at, datetime) else at)).days for at in moments]


def _percentile(values: list[int], percent: int) -> int | None:
    """The smallest value that so many per cent of the values do not exceed."""
    counts = Counter(values)
    return min(
        (value for value in counts if 100 * sum(counts[other] for other in counts if other <= value) >= percent * len(values)),
        default=None,
    )
