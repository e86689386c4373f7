"""Oracle of mart_health__account: how well every account that pays or is in trial does, by what was known on the day.

Belongs here: components, score, lifecycle stage, trend. Does not belong here: what is known on a day (`churn`).
"""

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from decimal import Decimal
from math import fsum
from typing import Any

from orchestration.landing.contract import CONTRACT
from tests.oracles.churn import CORE_EVENTS, Action, Key, Known, as_of_dates, pays, session_lengths
from tests.oracles.reporting import Facts, Reporting, Row

# Terms of a component by name: the points they can bring, and the share of them that was earned; None where nobody could.
Terms = dict[str, tuple[int, float | None]]
WEIGHTS = {
    "product_usage": 0.25,
    "feature_adoption": 0.20,
    "support_engagement": 0.15,
    "business_outcomes": 0.20,
    "relationship_health": 0.10,
    "account_growth": 0.10,
}


def health(facts: Facts, reporting: Reporting, event_names: Mapping[str, str] | None = None) -> dict[Key, dict[str, Any]]:
    """Rows by (as_of_date, account_id)."""
    rows: dict[Key, dict[str, Any]] = {}
    days = as_of_dates(facts, reporting)
    for day in days:
        known = Known(facts, reporting, day, event_names or {})
        trials = {row["account_id"] for row in known.subscriptions if row["status"] == "trialing"}
        customers = known.paying.keys() | trials
        catalogue = {name for action in known.actions if action.account in customers for name in _features([action])}
        for account in customers:
            rows[day, account] = _row(known, account, catalogue)
    for (day, account), row in rows.items():
        earlier = [
            rows[other, account]["health_score"] for other in days if 26 <= (day - other).days <= 33 and (other, account) in rows
        ]
        assert len(earlier) <= 1
        before = earlier[0] if earlier else None
        score = row["health_score"]
        row["trend_30d"] = None if score is None or before is None else score - before
    return rows


def _row(known: Known, account: str, catalogue: set[str]) -> dict[str, Any]:
    actions = [action for action in known.actions if action.account == account]
    terms = _use(known, account, actions, len(catalogue)) | {"support_engagement": _support(known, account)}
    feedback = _relationship(known, account)[2]
    scores = {
        **{name: _weighed(own) for name, own in terms.items()},
        "business_outcomes": _outcomes(known, account)[0],
        "relationship_health": _relationship(known, account)[0],
        "account_growth": _growth(known, account, actions)[0],
    }
    scores = {name: scores[name] for name in WEIGHTS}
    there = {name: score for name, score in scores.items() if score is not None}
    weight = fsum(WEIGHTS[name] for name in there)
    total = round(fsum(WEIGHTS[name] * score for name, score in there.items()) / weight, 6) if there else None
    gaps = {name: round(WEIGHTS[name] * (100 - score), 6) for name, score in there.items() if score < 100}
    return {
        "lifecycle_stage": _stage(known, account, actions),
        "health_score": total,
        "light": None if total is None else "green" if total >= 75 else "amber" if total >= 50 else "red",
        **{f"{name}_score": score for name, score in scores.items()},
        "missing_components": ", ".join(name for name in scores if name not in there) or None,
        "missing_terms": _left_out(terms, scores, feedback_is_unknown=feedback),
        "risk_factors": ", ".join(name for name, score in there.items() if score < 50) or None,
        "improvement_opportunities": ", ".join(sorted(gaps, key=lambda name: -gaps[name])[:2]) or None,
    }


def _use(known: Known, account: str, actions: list[Action], available: int) -> dict[str, Terms]:
    if not known.ever_heard_of(account):
        return {"product_usage": {}, "feature_adoption": {}}
    recent = [action for action in actions if known.ago(action.day) < 28]
    lengths = session_lengths(recent, known.reporting.session_gap)
    minutes = sum(lengths, timedelta()) / timedelta(minutes=1) / len(lengths) if lengths else 0
    logins = sum(action.name == "logged_in" for action in recent)
    breadth = len(_features(recent)) / available if available else None
    core = [action.name for action in recent if action.name in CORE_EVENTS]
    sent = len(known.event_names & CORE_EVENTS)
    return {
        "product_usage": {
            "logins": (40, min(logins / 4 / 5, 1) if "logged_in" in known.event_names else None),
            "features": (30, breadth),
            "session_minutes": (30, min(minutes / 30, 1) if _has_sessions(known) else None),
        },
        "feature_adoption": {
            "features": (40, breadth),
            "core_features": (30, len(set(core)) / sent if sent else None),
            "core_events": (30, min(len(core) / 8, 1) if sent else None),
        },
    }


def _has_sessions(known: Known) -> bool:
    """Whether a session of anybody who pays or is in trial lasted, in the last 28 days."""
    customers = known.paying.keys() | {row["account_id"] for row in known.subscriptions if row["status"] == "trialing"}
    recent = [action for action in known.actions if known.ago(action.day) < 28 and action.account in customers]
    return any(
        length
        for account in {action.account for action in recent}
        for length in session_lengths([action for action in recent if action.account == account], known.reporting.session_gap)
    )


def _support(known: Known, account: str) -> Terms:
    tickets = list(known.tickets(account))
    if not tickets:
        return {}
    n = len(tickets)
    are_solved_known = _is_filled(known, "tickets", "ticket_id", "resolved_at")
    severe, unsolved = sum(is_severe for _, is_severe, *_ in tickets), sum(is_unsolved for _, _, is_unsolved, _ in tickets)
    answered = sum(_within(row, "first_response_at", 24) for *_, row in tickets)
    solved = sum(_within(row, "resolved_at", 72) and not is_unsolved for _, _, is_unsolved, row in tickets)
    short = sum((1 if row.get("contacts") is None else row["contacts"]) <= 2 for *_, row in tickets)
    return {
        "tickets": (40, 3 / (3 + n + 2 * severe + (unsolved if are_solved_known else 0))),
        "first_responses": (20, answered / n if _is_filled(known, "tickets", "ticket_id", "first_response_at") else None),
        "resolutions": (20, solved / n if are_solved_known else None),
        "contacts": (20, short / n if _is_filled(known, "tickets", "ticket_id", "contacts") else None),
    }


def _is_filled(known: Known, source: str, key: str, column: str) -> bool:
    """Whether any row that has happened and arrived by the day has a value in a column."""
    at = CONTRACT[source].happened_at
    return any(row.get(column) is not None and known.ago(known.reporting.day(row[at])) >= 0 for row in known.rows(source, key))


def _weighed(terms: Terms) -> float | None:
    there = [(weight, share) for weight, share in terms.values() if share is not None]
    return 100 * fsum(weight * share for weight, share in there) / sum(weight for weight, _ in there) if there else None


def _outcomes(known: Known, account: str) -> tuple[float | None, bool]:
    measured = [
        row
        for row in known.rows("outcomes", "account_id", "measured_at")
        if row["account_id"] == account and 0 <= known.ago(known.reporting.day(row["measured_at"])) < 90
    ]
    if not measured:
        return None, False
    newest = max(measured, key=lambda row: row["measured_at"])
    expected, actual, gain = newest.get("expected_roi"), newest.get("actual_roi"), newest.get("efficiency_gain")
    roi = _clamp(actual / expected) if actual is not None and expected is not None and expected > 0 else None
    efficiency = None if gain is None else _clamp(gain / Decimal("0.2"))
    if roi is None:
        return (None if efficiency is None else 100 * efficiency), False
    return (100 * roi if efficiency is None else 70 * roi + 30 * efficiency), roi == 1


def _left_out(terms: dict[str, Terms], scores: Mapping[str, float | None], *, feedback_is_unknown: bool) -> str | None:
    """The terms without a share of components that have a score."""
    names = {name: [term for term, (_, share) in own.items() if share is None] for name, own in terms.items()}
    names["relationship_health"] = ["answers"] if feedback_is_unknown else []
    told = [f"{name}: {', '.join(names[name])}" for name in WEIGHTS if names.get(name) and scores[name] is not None]
    return "; ".join(told) or None


def _relationship(known: Known, account: str) -> tuple[float | None, float | None, bool]:
    def mine(source: str, key: str, at: str) -> list[Row]:
        rows = [row for row in known.rows(source, key) if known.owner(row) == account]
        return [row for row in rows if 0 <= known.ago(known.reporting.day(row[at])) < 90]

    surveys, feedback = mine("surveys", "response_id", "responded_at"), mine("feedback", "feedback_id", "created_at")
    nps = _mean(row["score"] for row in surveys if row["kind"] == "nps")
    csat = _mean(row["score"] for row in surveys if row["kind"] == "csat")
    is_known = _is_filled(known, "feedback", "feedback_id", "answered_at")
    answers = [row.get("answered_at") for row in feedback] if is_known else []
    answered = _mean(answer is not None and known.reporting.day(answer) <= known.day for answer in answers)
    parts = [
        None if nps is None else 10 * nps,
        None if csat is None else 25 * min(max(csat - 1, 0), 4),
        None if answered is None else 100 * answered,
    ]
    return _mean(part for part in parts if part is not None), nps, bool(feedback) and not is_known


def _growth(known: Known, account: str, actions: list[Action]) -> tuple[float | None, bool]:
    then = known.day - timedelta(days=90)
    newest: dict[str, Row] = {}
    for row in sorted(known.rows("subscriptions", "subscription_id", "changed_at"), key=lambda row: row["changed_at"]):
        if known.reporting.day(row["changed_at"]) <= then:
            newest[row["subscription_id"]] = row
    old = known.convertible([row for row in newest.values() if row["account_id"] == account and pays(row)])
    new = known.convertible(known.paying.get(account, []))
    mrr_now, mrr_then = known.mrr_usd(new), known.mrr_usd(old)
    users_now = {action.visitor for action in actions if known.ago(action.day) < 28 and action.visitor[0] == "user"}
    users_then = {action.visitor for action in actions if known.ago(action.day) >= 62 and action.visitor[0] == "user"}
    parts = [
        _share(mrr_now, mrr_then),
        _share(_seats(new), _seats(old)),
        _share(len(users_now) if actions else None, len(users_then)),
    ]
    has_expanded = mrr_now is not None and mrr_then is not None and mrr_now > mrr_then
    mean = _mean(part for part in parts if part is not None)
    return (None if mean is None else 100 * mean), has_expanded


def _stage(known: Known, account: str, actions: list[Action]) -> str:
    if account not in known.paying:
        return "trial"
    nps = _relationship(known, account)[1]
    first = known.first_paid(account)
    if known.ago(first) < 28 and not _has_succeeded(known, account, actions, first, nps):
        return "onboarding"
    renewals = [known.reporting.day(row["renews_at"]) for row in known.paying[account] if row.get("renews_at")]
    is_annual = any(row.get("billing_interval") == "year" for row in known.paying[account])
    if is_annual and renewals and 0 <= -known.ago(min(renewals)) <= 60:
        return "renewal"
    if nps is not None and nps >= 9:
        return "advocacy"
    if _growth(known, account, actions)[1]:
        return "expansion"
    return "value_realization" if _outcomes(known, account)[1] else "adoption"


def _has_succeeded(known: Known, account: str, actions: list[Action], first: date, nps: float | None) -> bool:
    week_1, week_2 = ([action for action in actions if week * 7 <= (action.day - first).days < week * 7 + 7] for week in range(2))
    opened = [known.reporting.day(row["opened_at"]) for *_, row in known.tickets(account)]
    core = {action.name for action in week_2 if action.name in CORE_EVENTS}
    return (
        sum(action.name == "logged_in" for action in week_1) > 3
        and len(_features(week_1)) > 5
        and not any(0 <= (day - first).days < 7 for day in opened)
        and len(core) / len(CORE_EVENTS) > 0.8
        and len({action.visitor for action in week_2 if action.visitor[0] == "user"}) > 3
        and nps is not None
        and nps > 7
    )


def _features(actions: Iterable[Action]) -> set[str]:
    return {action.row["feature"] for action in actions if action.name == "feature_used" and action.row.get("feature")}


def _within(ticket: Row, column: str, hours: int) -> bool:
    at = ticket.get(column)
    return at is not None and at - ticket["opened_at"] <= timedelta(hours=hours)


def _seats(subscriptions: list[Row]) -> int | None:
    seats = [row["seats"] for row in subscriptions if row.get("seats") is not None]
    return sum(seats) if seats else None


def _share(now: Any, then: Any) -> float | None:
    if now is None or not then:
        return None
    return 0.5 + 2 * min(max(float(now) / float(then) - 1, -0.25), 0.25)


def _clamp(value: Decimal) -> float:
    return float(min(max(value, Decimal(0)), Decimal(1)))


def _mean(values: Iterable[float]) -> float | None:
    found = list(values)
    return fsum(found) / len(found) if found else None
