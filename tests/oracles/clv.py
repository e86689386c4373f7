"""Oracle of what lifetime values are predicted from: shop customers, account customers, and how long subscribers stayed.

Belongs here: purchases and margins by customer, months of tenure, the months that are paid for. Does not belong here: whose an
amount is (`ltv`), what accounts pay at the ends of months (`mrr`).
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal, localcontext
from typing import Any

from tests.oracles.ltv import Amount, _customer, customer_amounts
from tests.oracles.mrr import Paid, account_profiles, paid_months, state_on
from tests.oracles.persons import People, latest_state, people
from tests.oracles.reporting import Facts, Reporting, Row

HORIZONS = (12, 24, 36)
NOTHING = Decimal(0)


def shop_customers(facts: Facts, reporting: Reporting) -> dict[tuple[str], dict[str, Any]]:
    """Rows by (person_id,): persons who bought something by the last day of data, staff left out."""
    with localcontext(prec=50):
        rows: dict[tuple[str], dict[str, Any]] = {}
        spent, left = NOTHING, NOTHING
        for customer_id, amounts in _histories(facts, reporting, people(facts, reporting)).items():
            if customer_id.startswith("c:"):
                continue
            days = sorted({amount.day for amount in amounts if amount.is_payment})
            bought = [amount for amount in amounts if amount.day in days]
            spent += sum((amount.revenue for amount in bought), NOTHING)
            left += sum((amount.margin for amount in bought), NOTHING)
            repeats = len(days) - 1
            again = sum((amount.revenue for amount in bought if amount.day > days[0]), NOTHING)
            rows[customer_id,] = {
                **_origin(customer_id, days[0], facts, reporting),
                "first_paid_date": days[0],
                "last_paid_date": days[-1],
                "order_count": sum(amount.is_payment for amount in amounts),
                "frequency": repeats,
                "recency_days": (days[-1] - days[0]).days,
                "age_days": (reporting.data_through - days[0]).days,
                "mean_repeat_value": float(again / repeats) if repeats else None,
                "revenue": sum((amount.revenue for amount in amounts), NOTHING),
                "margin": sum((amount.margin for amount in amounts), NOTHING),
                **_observed(days[0], amounts),
                **{
                    f"remaining_days_{horizon}m": max((_months_later(days[0], horizon) - reporting.data_through).days - 1, 0)
                    for horizon in HORIZONS
                },
            }
        share = min(max(left / spent, Decimal(-1)), Decimal(1)) if spent > 0 else reporting.gross_margin
        for row in rows.values():
            row["order_margin"] = float(share)
        return rows


def ltv_customers(facts: Facts, reporting: Reporting, predictions: Sequence[Row]) -> dict[tuple[date, str], dict[str, Any]]:
    """Rows of mart_ltv__customer by (as_of_date, person_id); predictions: what the models say of each (`ml.ltv_customers`)."""
    seen = ("order_count", "frequency", "recency_days", "age_days", "revenue", "margin")
    money = ("expected_order_value", *(f"predicted_ltv_{horizon}m" for horizon in HORIZONS))
    said = {row["person_id"]: row for row in predictions}
    return {
        (reporting.data_through, person): {
            **{name: row[name] for name in seen},
            **{name: said[person][name] for name in ("p_alive", "expected_orders_90d", "expected_orders_365d", "method")},
            **{name: None if said[person][name] is None else Decimal(str(said[person][name])) for name in money},
        }
        for (person,), row in shop_customers(facts, reporting).items()
    }


def account_customers(facts: Facts, reporting: Reporting) -> dict[tuple[str], dict[str, Any]]:
    """Rows by (customer_id,): accounts that paid something by the last day of data, staff left out."""
    with localcontext(prec=50):
        running = reporting.period("month", reporting.data_through)
        paid = paid_months(facts, reporting)
        renewals = _renewals(facts, reporting)
        rows: dict[tuple[str], dict[str, Any]] = {}
        for customer_id, amounts in _histories(facts, reporting, people(facts, reporting)).items():
            if not customer_id.startswith("c:"):
                continue
            account = customer_id.removeprefix("c:")
            first = min(amount.day for amount in amounts if amount.is_payment)
            age = _whole_months(first, reporting.data_through)
            now = paid.get((account, running))
            spell = _spells(account, paid, reporting)[-1] if now else []
            rows[customer_id,] = {
                **_origin(customer_id, first, facts, reporting),
                "plan": paid[account, spell[0]].plan if spell else None,
                "tenure_months": len(spell) - 1 if spell else None,
                "age_months": age,
                "next_payment_month": max(_whole_months(first, renewals.get(account, first)), age + 1) if now else None,
                "monthly_margin": now.mrr * reporting.gross_margin if now else NOTHING,
                **_observed(first, amounts),
            }
        return rows


def subscription_tenures(facts: Facts, reporting: Reporting) -> dict[tuple[str, str, int], dict[str, Any]]:
    """Rows by (plan, channel, period): of first spells those lost in it, those seen no longer, those whose watch began after it.

    Nobody is watched until somebody has left for the first time.
    """
    profiles = account_profiles(facts, reporting)
    paid = paid_months(facts, reporting)
    spells: list[tuple[str, str, list[date], date | None]] = []
    for account in {account for account, _ in paid}:
        profile = profiles.get(account, {})
        whole = [month for month in _spells(account, paid, reporting)[0] if _is_over(month, reporting)]
        if whole and not profile.get("is_internal"):
            following = reporting.shift("month", whole[-1], 1)
            is_lost = (account, following) not in paid and _is_over(following, reporting)
            spells.append(
                (paid[account, whole[0]].plan, profile.get("channel") or "(none)", whole, following if is_lost else None)
            )
    first_loss = min((left for _, _, _, left in spells if left), default=None)
    rows: dict[tuple[str, str, int], dict[str, Any]] = defaultdict(lambda: {"lost": 0, "alive": 0, "entered": 0})
    for plan, channel, whole, left in spells:
        # Renewal n is in the n-th month after the first; those up to the first loss are not looked at.
        renewals = [*whole[1:], *([left] if left else [])]
        unseen = sum(1 for month in renewals if first_loss and month <= first_loss)
        if left and unseen == len(renewals):
            continue
        rows[plan, channel, len(renewals)]["lost" if left else "alive"] += 1
        if unseen:
            rows[plan, channel, unseen]["entered"] += 1
    return dict(rows)


def _histories(facts: Facts, reporting: Reporting, found: People) -> dict[str, list[Amount]]:
    """Amounts up to the last day of data of every customer who has paid by then and is no staff."""
    histories: dict[str, list[Amount]] = defaultdict(list)
    for amount in customer_amounts(facts, reporting, found):
        if amount.day <= reporting.data_through:
            histories[amount.customer_id].append(amount)
    return {
        customer_id: amounts
        for customer_id, amounts in histories.items()
        if any(amount.is_payment for amount in amounts) and not _customer(customer_id, facts, found).is_internal
    }


def _origin(customer_id: str, first: date, facts: Facts, reporting: Reporting) -> dict[str, Any]:
    customer = _customer(customer_id, facts, people(facts, reporting))
    return {
        "cohort_month": reporting.period("month", first),
        "channel": customer.channel or "(none)",
        "country": customer.country or "(none)",
    }


def _observed(first: date, amounts: Sequence[Amount]) -> dict[str, Any]:
    return {
        f"margin_{horizon}m": sum((amount.margin for amount in amounts if amount.day < _months_later(first, horizon)), NOTHING)
        for horizon in HORIZONS
    }


def _renewals(facts: Facts, reporting: Reporting) -> dict[str, date]:
    """By account the first day after the last of data on which a term of a subscription that it pays then ends."""
    histories: dict[str, list[Row]] = defaultdict(list)
    for row in latest_state(facts.get("subscriptions", ()), ["subscription_id", "changed_at"]):
        histories[row["subscription_id"]].append(row)
    found: dict[str, date] = {}
    for history in histories.values():
        state = state_on(sorted(history, key=lambda row: row["changed_at"]), reporting.data_through, reporting)
        if state and state[0].get("renews_at"):
            day = reporting.day(state[0]["renews_at"])
            if day > reporting.data_through:
                found[state[0]["account_id"]] = min(found.get(state[0]["account_id"], day), day)
    return found


def _spells(account: str, paid: Mapping[tuple[str, date], Paid], reporting: Reporting) -> list[list[date]]:
    """Months at whose ends an account pays, in runs without a gap."""
    runs: list[list[date]] = []
    for month in sorted(month for name, month in paid if name == account):
        if runs and reporting.shift("month", runs[-1][-1], 1) == month:
            runs[-1].append(month)
        else:
            runs.append([month])
    return runs


def _is_over(month: date, reporting: Reporting) -> bool:
    return reporting.shift("month", month, 1) - timedelta(days=1) <= reporting.data_through


def _whole_months(first: date, day: date) -> int:
    count = 0
    while _months_later(first, count + 1) <= day:
        count += 1
    return count


def _months_later(day: date, months: int) -> date:
    """The same day of a later month, or its last one where it is shorter."""
    number = day.year * 12 + day.month - 1 + months
    later = date(number // 12, number % 12 + 1, 1)
    last = date((number + 1) // 12, (number + 1) % 12 + 1, 1) - timedelta(days=1)
    return later.replace(day=min(day.day, last.day))
