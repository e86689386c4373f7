"""Oracle of churn features, indicators and mart: whatever has not arrived by the as-of date is thrown away first, then counted.

Belongs here: as-of dates, what is known on one, features and indicators of an account. Does not belong here: health scores
(`health`), the model.
"""

import csv
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import cached_property
from typing import Any

from tests.oracles.delivery import delivery
from tests.oracles.persons import SEEDS, first_landed, latest_state, unique_events, without_bots
from tests.oracles.reporting import Facts, Reporting, Row

CORE_EVENTS = frozenset({"match_requested", "value_achieved"})
SEVERE = frozenset({"high", "urgent", "critical", "severe", "blocker", "p0", "p1", "sev0", "sev1"})
INDICATORS = ("usage_decline", "support_tickets", "feature_adoption", "engagement_score", "payment_issues", "contract_proximity")
LEVELS = ("low", "medium", "high", "critical")
Key = tuple[date, str]


def features(facts: Facts, reporting: Reporting, event_names: Mapping[str, str] | None = None) -> dict[Key, dict[str, Any]]:
    """Features by (as_of_date, account_id)."""
    rows = {}
    for day in as_of_dates(facts, reporting):
        known = Known(facts, reporting, day, event_names or {})
        for account in known.valued:
            rows[day, account] = {"is_current": day == reporting.data_through, **_features(known, account)}
    return rows


def indicators(facts: Facts, reporting: Reporting, event_names: Mapping[str, str] | None = None) -> dict[Key, dict[str, Any]]:
    """Indicators by (as_of_date, account_id)."""
    rows = {}
    delivered = delivery(facts, reporting, event_names)
    for (day, account), row in features(facts, reporting, event_names).items():
        has = {source: any(fact["arrived_date"] <= day for fact in facts.get(source, ())) for source in ("events", "tickets")}
        needs = {
            "features": ["events.feature"],
            "core": [f"events.event={name}" for name in CORE_EVENTS],
            "payments": ["payments"],
            "renewals": ["subscriptions.renews_at"],
        }
        for need, ways in needs.items():
            has[need] = any(way in delivered and delivered[way].known <= day for way in ways)
        rows[day, account] = {"is_current": row["is_current"], **_indicators(row, has)}
    return rows


def churn_accounts(
    facts: Facts,
    reporting: Reporting,
    scores: Sequence[Row],
    bounds: Sequence[float],
    event_names: Mapping[str, str] | None = None,
) -> dict[Key, dict[str, Any]]:
    """Rows of mart_churn__account by (as_of_date, account_id): what a model said, beside what was known.

    bounds: probabilities from which a risk is medium, high and critical.
    """
    known = Known(facts, reporting, reporting.data_through, event_names or {})
    told = indicators(facts, reporting, event_names)
    with (SEEDS / "recommended_actions.csv").open(encoding="utf-8", newline="") as file:
        actions = {(row["indicator"], row["risk_level"]): row["action"] for row in csv.DictReader(file)}
    rows: dict[Key, dict[str, Any]] = {}
    at_risk: dict[Key, float] = {}
    for score in scores:
        key = score["as_of_date"], score["account_id"]
        probability = score["churn_probability"]
        level = LEVELS[sum(probability >= bound for bound in bounds)]
        moving = [name for name in INDICATORS if score[f"{name}_contribution"]]
        moving = sorted(moving, key=lambda name: -abs(score[f"{name}_contribution"]))[:3]
        raising = [name for name in moving if score[f"{name}_contribution"] > 0]
        usd = sum((row["mrr"] * known.usd(row["currency"]) for row in known.valued[key[1]]), Decimal(0))
        mrr = (usd / known.usd(reporting.currency)).quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)
        at_risk[key] = probability * float(mrr)
        rows[key] = {
            "churn_probability": probability,
            "risk_level": level,
            **{name: told[key][name] for name in INDICATORS},
            "key_indicators": ", ".join(("+" if name in raising else "-") + name for name in moving) or None,
            "recommended_actions": "; ".join(actions[name, level] for name in raising) or None,
            "mrr": mrr,
            "mrr_at_risk": Decimal(probability) * mrr,
            "model_version": score["model_version"],
        }
    for place, key in enumerate(sorted(rows, key=lambda key: (-at_risk[key], key[1])), start=1):
        rows[key]["intervention_priority"] = place
    return rows


def as_of_dates(facts: Facts, reporting: Reporting) -> list[date]:
    """Every 8th day of all time from four weeks after the first subscription arrived, and data_through."""
    arrived = [row["arrived_date"] for row in facts.get("subscriptions", ())]
    days = {reporting.data_through}
    day = min(arrived) + timedelta(days=28) if arrived else reporting.data_through
    while day <= reporting.data_through:
        if (day - date(2000, 1, 1)).days % 8 == 0:
            days.add(day)
        day += timedelta(days=1)
    return sorted(days)


@dataclass(frozen=True)
class Action:
    """One event of an account: `visitor` did it, and it was known from `known` on."""

    account: str
    visitor: tuple[str, str]
    day: date
    known: date
    name: str
    row: Row


class Known:
    """What had happened and had arrived by the end of a day."""

    def __init__(self, facts: Facts, reporting: Reporting, day: date, event_names: Mapping[str, str]) -> None:
        self.reporting, self.day = reporting, day
        self._names = event_names
        self._facts = {source: [row for row in rows if row["arrived_date"] <= day] for source, rows in facts.items()}

    def rows(self, source: str, *key: str) -> list[Row]:
        """Facts of a source, one per key."""
        return (first_landed if source == "fx_rates" else latest_state)(self._facts.get(source, ()), key)

    @cached_property
    def event_names(self) -> set[str]:
        """Names of events, as the core knows them, that have happened and arrived; whoever sent them."""
        events = unique_events(self._facts.get("events", ()))
        return {
            self._names.get(row["event"], row["event"]) for row in events if self.ago(self.reporting.day(row["occurred_at"])) >= 0
        }

    @cached_property
    def actions(self) -> list[Action]:
        """Events of accounts that are no bot's, of the 90 days."""
        arrived: dict[str, date] = {}
        for row in self._facts.get("events", ()):
            arrived[row["event_id"]] = min(arrived.get(row["event_id"], date.max), row["arrived_date"])
        return [
            Action(
                row["account_id"],
                ("user", row["user_id"]) if row.get("user_id") else ("device", row["anonymous_id"]),
                day,
                arrived[row["event_id"]],
                self._names.get(row["event"], row["event"]),
                row,
            )
            for row in without_bots(unique_events(self._facts.get("events", ())), self.reporting)
            if row.get("account_id") and 0 <= self.ago(day := self.reporting.day(row["occurred_at"])) < 90
        ]

    @cached_property
    def subscriptions(self) -> list[Row]:
        """Every subscription in its newest state."""
        newest: dict[str, Row] = {}
        for row in sorted(self.rows("subscriptions", "subscription_id", "changed_at"), key=lambda row: row["changed_at"]):
            if self.reporting.day(row["changed_at"]) <= self.day:
                newest[row["subscription_id"]] = row
        return list(newest.values())

    @cached_property
    def paying(self) -> dict[str, list[Row]]:
        """Subscriptions that pay, by account."""
        found = defaultdict(list)
        for row in self.subscriptions:
            if pays(row):
                found[row["account_id"]].append(row)
        return dict(found)

    @cached_property
    def valued(self) -> dict[str, list[Row]]:
        """Subscriptions that pay in a currency that can be converted, by account."""
        found = {account: self.convertible(rows) for account, rows in self.paying.items()}
        return {account: rows for account, rows in found.items() if rows}

    def convertible(self, rows: Sequence[Row]) -> list[Row]:
        """Those in the reporting currency, and where that one has a rate those whose currency has one."""
        own = self.reporting.currency
        return [row for row in rows if row["currency"] == own or (self._rate(own) and self._rate(row["currency"]))]

    @cached_property
    def members(self) -> dict[str, str | None]:
        """Account by user."""
        return {row["user_id"]: row.get("account_id") for row in latest_state(self._facts.get("users", ()), ["user_id"])}

    def owner(self, row: Row) -> str | None:
        """Account of a row: the one it names, else its user's."""
        return row.get("account_id") or self.members.get(row.get("user_id") or "")

    def ago(self, day: date) -> int:
        """Days from a day to this one."""
        return (self.day - day).days

    def tickets(self, account: str) -> Iterator[tuple[int, bool, bool, Row]]:
        """Tickets of the 90 days: days ago, severe, unsolved, and the ticket."""
        for row in self.rows("tickets", "ticket_id"):
            ago = self.ago(self.reporting.day(row["opened_at"]))
            if self.owner(row) == account and 0 <= ago < 90:
                resolved = row.get("resolved_at")
                is_unsolved = resolved is None or self.reporting.day(resolved) > self.day
                yield ago, (row.get("severity") or "").lower() in SEVERE, is_unsolved, row

    def usd(self, currency: str) -> Decimal:
        """Rate of a currency that can be converted; 1 for a reporting currency without one, beside which no other can."""
        return self._rate(currency) or Decimal(1)

    def _rate(self, currency: str) -> Decimal | None:
        if currency == "USD":
            return Decimal(1)
        rates = [
            (row["rate_date"], row["usd_rate"])
            for row in self.rows("fx_rates", "rate_date", "currency")
            if row["currency"] == currency and row["usd_rate"] > 0 and row["rate_date"] <= self.day
        ]
        return max(rates)[1] if rates else None

    def mrr_usd(self, subscriptions: list[Row]) -> Decimal | None:
        """What subscriptions bring in a month, in cents of the US dollar; None for none."""
        total = sum((row["mrr"] * self.usd(row["currency"]) for row in subscriptions), Decimal(0))
        return total.quantize(Decimal("0.01"), rounding=ROUND_HALF_UP) if subscriptions else None

    def ever_heard_of(self, account: str) -> bool:
        """Whether any event of the account has arrived."""
        return any(row.get("account_id") == account for row in unique_events(self._facts.get("events", ())))

    def first_paid(self, account: str) -> date:
        """Day on which the account first paid."""
        changes = self.rows("subscriptions", "subscription_id", "changed_at")
        return min(self.reporting.day(row["changed_at"]) for row in changes if row["account_id"] == account and pays(row))


def pays(subscription: Row) -> bool:
    """Whether a state of a subscription brings money."""
    return subscription["status"] in ("active", "past_due") and subscription["mrr"] > 0


def session_lengths(actions: list[Action], gap: timedelta) -> list[timedelta]:
    """Lengths of the runs without a longer silence, among actions of one visitor and day that became known together."""
    groups = defaultdict(list)
    for action in actions:
        groups[action.visitor, action.day, action.known].append(action.row["occurred_at"])
    lengths = []
    for times in groups.values():
        times.sort()
        start = last = times[0]
        for at in times[1:]:
            if at - last > gap:
                lengths.append(last - start)
                start = at
            last = at
        lengths.append(last - start)
    return lengths


def _features(known: Known, account: str) -> dict[str, Any]:
    actions = [(known.ago(action.day), action) for action in known.actions if action.account == account]
    recent = [action for ago, action in actions if ago < 28]
    active = {ago for ago, _ in actions}
    streak = 0
    while streak + min(active, default=2) in active and min(active) <= 1:
        streak += 1
    last = sum(ago < 7 for ago, _ in actions)
    before = sum(7 <= ago < 35 for ago, _ in actions)
    tickets = list(known.tickets(account))
    failed = [
        row for row in known.rows("payments", "payment_id") if row["status"] == "failed" and row.get("account_id") == account
    ]
    subscriptions = known.valued[account]
    renewals = [known.reporting.day(row["renews_at"]) for row in subscriptions if row.get("renews_at")]
    seats = [row["seats"] for row in subscriptions if row.get("seats") is not None]
    mrr = known.mrr_usd(subscriptions)
    assert mrr is not None
    return {
        "events_7d": last,
        "events_prior_28d": before,
        "usage_ratio": 4 * last / before if before else None,
        "is_usage_down": int(Decimal(last) / 7 < Decimal("0.7") * before / 28) if before else 0,
        "tickets_30d": sum(ago < 30 for ago, *_ in tickets),
        "severe_tickets_30d": sum(ago < 30 and is_severe for ago, is_severe, *_ in tickets),
        "unsolved_tickets": sum(is_unsolved for _, _, is_unsolved, _ in tickets),
        "features_used_28d": len(
            {action.row["feature"] for action in recent if action.name == "feature_used" and action.row.get("feature")}
        ),
        "core_events_28d": sum(action.name in CORE_EVENTS for action in recent),
        "active_days_28d": len({action.day for action in recent}),
        "active_users_28d": len({action.visitor for action in recent if action.visitor[0] == "user"}),
        "sessions_28d": len(session_lengths(recent, known.reporting.session_gap)),
        "streak_days": streak,
        "days_since_last_event": min(active, default=None),
        "failed_payments_90d": sum(0 <= known.ago(known.reporting.day(row["paid_at"])) < 90 for row in failed),
        "is_past_due": int(any(row["status"] == "past_due" for row in subscriptions)),
        "days_to_renewal": -known.ago(min(renewals)) if renewals else None,
        "is_annual": int(any(row.get("billing_interval") == "year" for row in subscriptions)),
        "tenure_days": known.ago(known.first_paid(account)),
        "mrr_usd": float(mrr),
        "seats": sum(seats) if seats else None,
    }


def _indicators(row: Mapping[str, Any], has: Mapping[str, bool]) -> dict[str, float | None]:
    if row["events_prior_28d"]:
        decline = max(1 - min(row["usage_ratio"], 1), 0.5 if row["is_usage_down"] else 0)
    else:
        decline = 0 if row["events_7d"] else 1
    weight = row["tickets_30d"] + 2 * row["severe_tickets_30d"] + row["unsolved_tickets"]
    shares = {"features": min(row["features_used_28d"] / 5, 1), "core": min(row["core_events_28d"] / 8, 1)}
    adopted = [share for need, share in shares.items() if has[need]]
    silence = 28 if row["days_since_last_event"] is None else row["days_since_last_event"]
    engaged = (
        0.3 * min(row["active_days_28d"] / 20, 1)
        + 0.2 * min(row["active_users_28d"] / max(row["seats"] or 1, 1), 1)
        + 0.1 * min(row["sessions_28d"] / 20, 1)
        + 0.1 * min(row["streak_days"] / 5, 1)
        + 0.3 * (1 - min(silence, 28) / 28)
    )
    renewal = row["days_to_renewal"]
    return {
        "usage_decline": float(decline) if has["events"] else None,
        "support_tickets": weight / (weight + 3) if has["tickets"] else None,
        "feature_adoption": 1 - sum(adopted) / len(adopted) if adopted else None,
        "engagement_score": max(1 - engaged, 0.0) if has["events"] else None,
        "payment_issues": 1.0 if row["is_past_due"] else min(row["failed_payments_90d"] / 3, 1) if has["payments"] else None,
        "contract_proximity": (0.0 if renewal is None else min(max(1 - renewal / 90, 0), 1)) if has["renewals"] else None,
    }
