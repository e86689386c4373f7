"""Oracle of mart_mrr__month: what every account pays at the ends of months, and the one movement between two of them.

Belongs here: the state of subscriptions on a day, their value in the reporting currency, movements, segments. Does not belong
here: who the persons are (`persons`), rates (`ltv`).
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Any

from tests.oracles.ltv import Rates
from tests.oracles.memory import remembered
from tests.oracles.persons import Person, latest_state, people
from tests.oracles.reporting import Facts, Reporting, Row

DIMENSIONS = ("plan", "channel", "country", "industry")
MOVEMENTS = ("new", "reactivation", "expansion", "contraction", "churned")
MEASURES = ("opening", *MOVEMENTS, "transferred", "closing")
NOTHING = Decimal(0)
CENT = Decimal("0.01")
Key = tuple[date, str, str]


@dataclass(frozen=True)
class Paid:
    """What an account pays at the end of a month, in whole cents, and the plan of its largest subscription."""

    mrr: Decimal
    plan: str


def mrr_months(facts: Facts, reporting: Reporting) -> dict[Key, dict[str, Any]]:
    """Rows by (month, dimension, segment): from the first month in which the segment occurs to the running one."""
    with localcontext(prec=50):
        profiles = account_profiles(facts, reporting)
        paid = paid_months(facts, reporting)
        running = reporting.period("month", reporting.data_through)
        first_month = min((month for account, month in paid if not _is_internal(profiles, account)), default=running)
        measures: dict[Key, dict[str, Decimal]] = defaultdict(lambda: dict.fromkeys(_columns(), NOTHING))
        seen: dict[tuple[str, str], date] = {("all", "all"): first_month}
        for account in {account for account, _ in paid}:
            if _is_internal(profiles, account):
                continue
            paid_before = False
            month = first_month
            while month <= running:
                opening = paid.get((account, reporting.shift("month", month, -1)))
                closing = paid.get((account, month))
                if opening or closing:
                    for dimension in ("all", *DIMENSIONS):
                        old, new = (_segment(dimension, profiles.get(account, {}), state) for state in (opening, closing))
                        for segment, name, amount in _booked(opening, closing, old, new, paid_before=paid_before):
                            cell = measures[month, dimension, segment]
                            cell[f"{name}_mrr"] += amount
                            cell[f"{name}_account_count"] += (amount > 0) - (amount < 0)
                            seen[dimension, segment] = min(seen.get((dimension, segment), month), month)
                paid_before = paid_before or closing is not None
                month = reporting.shift("month", month, 1)
        rows = {}
        for (dimension, segment), month in seen.items():
            for number in range(reporting.index("month", month, running) + 1):
                key = reporting.shift("month", month, number), dimension, segment
                rows[key] = _row(measures[key], is_complete=_last_day(reporting, key[0]) <= reporting.data_through)
        return rows


@remembered
def account_profiles(facts: Facts, reporting: Reporting) -> dict[str, dict[str, Any]]:
    """Channel, country, industry and is_internal by account: its own, and its founder's where it has no own."""
    found = people(facts, reporting)
    known = {row["account_id"]: row for row in latest_state(facts.get("accounts", ()), ["account_id"])}
    members: dict[str, list[Row]] = defaultdict(list)
    for user in sorted(found.users.values(), key=lambda user: (user["signed_up_at"], user["user_id"])):
        if user.get("account_id"):
            members[user["account_id"]].append(user)
    profiles = {}
    for account in known.keys() | members.keys():
        persons = [found.persons[found.identities.of_user(user["user_id"])] for user in members[account]]
        founder = persons[0] if persons else Person(account)
        profiles[account] = {
            "channel": founder.channel,
            "country": known.get(account, {}).get("country") or founder.country,
            "industry": known.get(account, {}).get("industry"),
            "is_internal": bool(persons) and all(person.is_internal for person in persons),
        }
    return profiles


def paid_months(facts: Facts, reporting: Reporting) -> dict[tuple[str, date], Paid]:
    """By (account, first day of a month): what it pays on the month's last day, or on the last day of data."""
    histories: dict[str, list[Row]] = defaultdict(list)
    for row in latest_state(facts.get("subscriptions", ()), ["subscription_id", "changed_at"]):
        if reporting.day(row["changed_at"]) <= reporting.data_through:
            histories[row["subscription_id"]].append(row)
    rates = Rates(facts, reporting)
    parts: dict[tuple[str, date], list[tuple[Decimal, str, str]]] = defaultdict(list)
    paying: dict[tuple[str, str], set[date]] = defaultdict(set)
    for history in histories.values():
        history.sort(key=lambda row: row["changed_at"])
        day = reporting.day(history[0]["changed_at"])
        while day <= reporting.data_through:
            if state := state_on(history, day, reporting):
                paying[state[0]["account_id"], state[0]["currency"]].add(day)
            day += timedelta(days=1)
    for subscription, history in histories.items():
        month = reporting.period("month", reporting.day(history[0]["changed_at"]))
        while month <= reporting.data_through:
            day = min(_last_day(reporting, month), reporting.data_through)
            state = state_on(history, day, reporting)
            if state:
                change = state[0]
                # The rate is that of the first day on which the account paid in this currency since the last end of a month at
                # which it did not; before there is a rate, the first one.
                days = paying[change["account_id"], change["currency"]]
                unpaid = reporting.period("month", day) - timedelta(days=1)
                while unpaid in days:
                    unpaid = reporting.period("month", unpaid) - timedelta(days=1)
                since = min(paid_day for paid_day in days if paid_day > unpaid)
                while since < day and rates.convert(change["mrr"], change["currency"], since) is None:
                    since += timedelta(days=1)
                mrr = rates.convert(change["mrr"], change["currency"], since)
                if mrr is not None:
                    parts[change["account_id"], month].append((-mrr, subscription, change["plan"]))
            month = reporting.shift("month", month, 1)
    paid = {}
    for key, subscriptions in parts.items():
        total = -sum((amount for amount, _, _ in subscriptions), NOTHING)
        if rounded := total.quantize(CENT, rounding=ROUND_HALF_UP):
            paid[key] = Paid(rounded, min(subscriptions)[2])
    return paid


def state_on(history: Sequence[Row], day: date, reporting: Reporting) -> tuple[Row, date] | None:
    """The last change by the end of a day, if the subscription pays then, and the day since when it does so in that currency."""
    changes = [row for row in history if reporting.day(row["changed_at"]) <= day]
    if not changes or not _pays(changes[-1]):
        return None
    first = last = changes.pop()
    while changes and _pays(changes[-1]) and changes[-1]["currency"] == last["currency"]:
        first = changes.pop()
    return last, reporting.day(first["changed_at"])


def _pays(change: Row) -> bool:
    return change["status"] in ("active", "past_due") and change["mrr"] > 0


def _booked(
    opening: Paid | None, closing: Paid | None, old: str, new: str, *, paid_before: bool
) -> list[tuple[str, str, Decimal]]:
    """(segment, measure, amount) of one account's month; `old` and `new` are its segments at the beginning and at the end."""
    if opening is None:
        assert closing is not None
        return [(new, "reactivation" if paid_before else "new", closing.mrr), (new, "closing", closing.mrr)]
    booked = [(old, "opening", opening.mrr)]
    if closing is None:
        return [*booked, (old, "churned", opening.mrr)]
    if old != new:
        booked += [(old, "transferred", -opening.mrr), (new, "transferred", opening.mrr)]
    change = closing.mrr - opening.mrr
    if change:
        booked.append((new, "expansion" if change > 0 else "contraction", abs(change)))
    return [*booked, (new, "closing", closing.mrr)]


def _segment(dimension: str, profile: dict[str, Any], state: Paid | None) -> str:
    if dimension == "all":
        return "all"
    value = (state.plan if state else None) if dimension == "plan" else profile.get(dimension)
    return "(none)" if value is None else value


def _row(sums: dict[str, Decimal], *, is_complete: bool) -> dict[str, Any]:
    row: dict[str, Any] = {f"{name}_mrr": sums[f"{name}_mrr"].quantize(CENT) for name in MEASURES}
    row |= {f"{name}_account_count": int(sums[f"{name}_account_count"]) for name in MEASURES}
    base = row["opening_mrr"] + row["transferred_mrr"]
    lost = row["contraction_mrr"] + row["churned_mrr"]
    gained = row["new_mrr"] + row["reactivation_mrr"] + row["expansion_mrr"]
    accounts = row["opening_account_count"] + row["transferred_account_count"]

    def ratio(numerator: Decimal, denominator: Decimal) -> float | None:
        return float(numerator / denominator) if is_complete and denominator else None

    return row | {
        "nrr_rate": ratio(base + row["expansion_mrr"] - lost, base),
        "grr_rate": ratio(base - lost, base),
        "logo_churn_rate": ratio(Decimal(row["churned_account_count"]), Decimal(accounts)),
        "arpa": row["closing_mrr"] / row["closing_account_count"] if row["closing_account_count"] else None,
        "quick_ratio": ratio(gained, lost),
        "is_complete": is_complete,
    }


def _columns() -> list[str]:
    return [f"{name}_{kind}" for name in MEASURES for kind in ("mrr", "account_count")]


def _is_internal(profiles: dict[str, dict[str, Any]], account: str) -> bool:
    return bool(profiles.get(account, {}).get("is_internal"))


def _last_day(reporting: Reporting, month: date) -> date:
    return reporting.shift("month", month, 1) - timedelta(days=1)
