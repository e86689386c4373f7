"""Oracle of mart_ltv_cac__channel_month: what each channel cost in a month, who came by it, and what they have brought in since.

Belongs here: spend, sign-ups, new customers and their payback by channel. Does not belong here: what customers paid (`ltv`), who
the persons are (`persons`).
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Any

from tests.oracles.delivery import delivery
from tests.oracles.ltv import NOT_PREDICTED, Amount, Rates, _customer, customer_amounts, predicted_cohorts
from tests.oracles.persons import channel_of, latest_spend, people
from tests.oracles.reporting import Facts, Reporting, Row

NOTHING = Decimal(0)
Key = tuple[date, str]


@dataclass
class Cell:
    """A channel in a month; of its new customers the amounts up to the last day of data, with the month of each."""

    spend: Decimal = NOTHING
    impressions: int | None = None
    clicks: int | None = None
    signup_count: int = 0
    new_customer_count: int = 0
    amounts: list[tuple[int, Amount]] = field(default_factory=list)


def channel_months(facts: Facts, reporting: Reporting, predictions: Sequence[Row] = ()) -> dict[Key, dict[str, Any]]:
    """Rows by (month, channel) where something was spent or somebody came, and by (month, 'all').

    predictions: what the models say of cohorts (`ml.ltv_cohorts`).
    """
    predicted = predicted_cohorts(predictions)
    with localcontext(prec=50):
        cells: dict[Key, Cell] = defaultdict(Cell)
        _add_spend(cells, facts, reporting)
        _add_persons_and_customers(cells, facts, reporting)
        rows = {
            (month, name): row
            for month in {month for month, _ in cells}
            for name, row in _month(month, {name: cell for (at, name), cell in cells.items() if at == month}, reporting).items()
        }
        _forget_undelivered(rows, facts, reporting)
        for (month, name), row in rows.items():
            where = (month, "all", "all") if name == "all" else (month, "channel", name)
            worth = predicted.get(where, NOT_PREDICTED)["predicted_ltv_36m"] if row["is_complete"] else None
            cost = row["blended_cac" if name == "all" else "paid_cac"]
            is_known = worth is not None and cost is not None
            row["ltv_predicted"] = worth
            row["ltv_to_cac"] = float(worth / cost.quantize(Decimal("0.0001"), ROUND_HALF_UP)) if is_known and cost else None
            row["is_review_triggered"] = cost > 3 * worth if is_known else None
        return rows


def _add_spend(cells: dict[Key, Cell], facts: Facts, reporting: Reporting) -> None:
    rates = Rates(facts, reporting)
    for row in latest_spend(facts.get("ad_spend", ())):
        if row["spend_date"] > reporting.data_through:
            continue
        cost = rates.convert(row["cost"], row["currency"], row["spend_date"])
        if cost is None:
            continue
        cell = cells[reporting.period("month", row["spend_date"]), channel_of(row["utm_source"], row.get("utm_medium"), None)]
        cell.spend += cost
        cell.impressions = _plus(cell.impressions, row.get("impressions"))
        cell.clicks = _plus(cell.clicks, row.get("clicks"))


def _add_persons_and_customers(cells: dict[Key, Cell], facts: Facts, reporting: Reporting) -> None:
    found = people(facts, reporting)
    for person in found.persons.values():
        day = person.signed_up_at and reporting.day(person.signed_up_at)
        if day and day <= reporting.data_through and not person.is_internal:
            cells[reporting.period("month", day), person.channel or "(none)"].signup_count += 1
    amounts: dict[str, list[Amount]] = defaultdict(list)
    for amount in customer_amounts(facts, reporting, found):
        amounts[amount.customer_id].append(amount)
    for customer_id, own in amounts.items():
        customer = _customer(customer_id, facts, found)
        first = min((amount.day for amount in own if amount.is_payment), default=None)
        if first is None or first > reporting.data_through or customer.is_internal:
            continue
        month = reporting.period("month", first)
        cell = cells[month, customer.channel or "(none)"]
        cell.new_customer_count += 1
        cell.amounts += [
            # What lies before the first payment counts in the first month.
            (max(reporting.index("month", month, amount.day), 0), amount)
            for amount in own
            if amount.day <= reporting.data_through
        ]


def _month(month: date, cells: dict[str, Cell], reporting: Reporting) -> dict[str, dict[str, Any]]:
    """The rows of a month: one per channel, and their sum."""
    is_complete = reporting.shift("month", month, 1) - timedelta(days=1) <= reporting.data_through
    total = sum(cell.signup_count for cell in cells.values())
    rows: dict[str, dict[str, Any]] = {}
    for name, cell in cells.items():
        spend = _cents(cell.spend)
        rows[name] = {
            "spend": spend,
            "impressions": cell.impressions,
            "clicks": cell.clicks,
            "signup_count": cell.signup_count,
            "new_customer_count": cell.new_customer_count,
            "paid_customer_count": cell.new_customer_count if spend else 0,
            "revenue": _cents(sum((amount.revenue for _, amount in cell.amounts), NOTHING)),
            "margin": _cents(sum((amount.margin for _, amount in cell.amounts), NOTHING)),
        }
    whole: dict[str, Any] = {}
    for name in next(iter(rows.values())):
        known = [row[name] for row in rows.values() if row[name] is not None]
        whole[name] = sum(known[1:], known[0]) if known else None
    rows["all"] = whole
    everybody = [amount for cell in cells.values() for amount in cell.amounts]
    for name, row in rows.items():
        spend, customers = row["spend"], row["new_customer_count"]
        paid = row["paid_customer_count"]
        row["paid_cac"] = spend / paid if is_complete and paid else None
        row["blended_cac"] = spend / customers if is_complete and name == "all" and customers else None
        row["payback_months"] = _payback(month, spend, everybody if name == "all" else cells[name].amounts, reporting)
        row["roas"] = float(row["revenue"] / spend) if is_complete and spend else None
        row["marketing_roi"] = float((row["margin"] - spend) / spend) if is_complete and spend else None
        row["signup_share_rate"] = row["signup_count"] / total if is_complete and total else None
        row["is_complete"] = is_complete
    return rows


def _forget_undelivered(rows: dict[Key, dict[str, Any]], facts: Facts, reporting: Reporting) -> None:
    """Make unknown what no source could say: nothing was spent in a month before the first, nobody came, nobody paid."""
    told = delivery(facts, reporting)
    spent = reporting.period("month", told["ad_spend"].happened) if "ad_spend" in told else None
    for (month, _), row in rows.items():
        unknown: list[str] = []
        if spent is None or month < spent:
            unknown += ["spend", "paid_customer_count", "paid_cac", "blended_cac"]
        if "users" not in told:
            unknown += ["signup_count", "signup_share_rate"]
        if "orders" not in told and "payments" not in told:
            unknown += ["new_customer_count", "paid_customer_count", "revenue", "margin", "roas", "marketing_roi"]
        row.update(dict.fromkeys(unknown))


def _payback(month: date, spend: Decimal, amounts: list[tuple[int, Amount]], reporting: Reporting) -> int | None:
    """First age, over by the last day of data, at whose end the margin had reached the cost; None without either."""
    age = 0
    while spend and amounts and reporting.shift("month", month, age + 1) - timedelta(days=1) <= reporting.data_through:
        if _cents(sum((amount.margin for index, amount in amounts if index <= age), NOTHING)) >= spend:
            return age
        age += 1
    return None


def _plus(one: int | None, other: int | None) -> int | None:
    return one if other is None else other + (one or 0)


def _cents(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)
