"""Oracle of mart_ltv__cohort: what the customers of each month have paid since, net of what they were given back.

Belongs here: whose an amount is, on which day it counts, its value in the reporting currency, cohorts. Does not belong here: who
the persons are (`persons`).
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Any, NamedTuple

from tests.oracles.persons import NO_PURCHASE, People, Person, counted, first_landed, latest_state, people
from tests.oracles.reporting import Facts, Reporting, Row

DIMENSIONS = ("channel", "country")
Key = tuple[date, str, str, int]


@dataclass(frozen=True)
class Amount:
    """One fact of a customer, in the reporting currency; `is_payment` says whether it makes somebody a customer.

    `day` is the one that it belongs to, a refund's that of the payment; on `cash_day` the money moved.
    """

    customer_id: str
    day: date
    cash_day: date
    revenue: Decimal
    margin: Decimal
    is_payment: bool


def ltv_cohorts(facts: Facts, reporting: Reporting, predictions: Sequence[Row] = ()) -> dict[Key, dict[str, Any]]:
    """Rows by (cohort_month, dimension, segment, age_months); every month of a cohort up to the one of data_through.

    `cumulative_margin_per_customer` is not rounded; `revenue` and `margin` are, to cents, half away from zero.
    predictions: what the models say of cohorts (`ml.ltv_cohorts`), the same at every age.
    """
    predicted = predicted_cohorts(predictions)
    with localcontext(prec=50):
        found = people(facts, reporting)
        amounts = customer_amounts(facts, reporting, found)
        joined: dict[str, date] = {}
        for amount in amounts:
            if amount.is_payment:
                joined[amount.customer_id] = min(joined.get(amount.customer_id, date.max), amount.day)
        cohorts: dict[tuple[date, str, str], set[str]] = defaultdict(set)
        for customer_id, day in joined.items():
            person = _customer(customer_id, facts, found)
            if not person.is_internal:
                for dimension, segment in person.segments(DIMENSIONS):
                    cohorts[reporting.period("month", day), dimension, segment].add(customer_id)
        rows: dict[Key, dict[str, Any]] = {}
        for (start, dimension, segment), customers in cohorts.items():
            total = Decimal(0)
            for age in range(reporting.index("month", start, reporting.data_through) + 1):
                # What lies before the first payment counts in the first month.
                members = [
                    amount
                    for amount in amounts
                    if amount.customer_id in customers and max(reporting.index("month", start, amount.day), 0) == age
                ]
                total += sum((amount.margin for amount in members), Decimal(0))
                is_mature = reporting.shift("month", start, age + 1) - timedelta(days=1) <= reporting.data_through
                rows[start, dimension, segment, age] = {
                    "customer_count": len(customers),
                    "revenue": _round(sum((amount.revenue for amount in members), Decimal(0)), 2) if is_mature else None,
                    "margin": _round(sum((amount.margin for amount in members), Decimal(0)), 2) if is_mature else None,
                    "cumulative_margin_per_customer": total / len(customers) if is_mature else None,
                    **predicted.get((start, dimension, segment), NOT_PREDICTED),
                    "is_mature": is_mature,
                }
        return rows


PREDICTED = [f"predicted_ltv_{horizon}m{part}" for horizon in (12, 24, 36) for part in ("", "_p10", "_p90")]
NOT_PREDICTED: dict[str, Any] = {**dict.fromkeys(PREDICTED), "method": "none: too few customers"}


def predicted_cohorts(predictions: Sequence[Row]) -> dict[tuple[date, str, str], dict[str, Any]]:
    """Predictions by (cohort_month, dimension, segment), money as decimals."""
    return {
        (row["cohort_month"], row["dimension"], row["segment"]): {
            **{name: None if row[name] is None else Decimal(str(row[name])) for name in PREDICTED},
            "method": row["method"],
        }
        for row in predictions
    }


def customer_amounts(facts: Facts, reporting: Reporting, found: People) -> list[Amount]:
    """What orders and payments mean for customers, each converted on its own day and held to four decimals."""
    rates = Rates(facts, reporting)
    facts = counted(facts, reporting)
    amounts = []
    for order in latest_state(facts.get("orders", ()), ["order_id"]):
        day = reporting.day(order["ordered_at"])
        is_purchase = (order.get("status") or "").lower() not in NO_PURCHASE
        paid, refunded, cost = (
            rates.convert(value, order["currency"], day)
            for value in (order["amount"], _stated_refund(order, reporting), order.get("cost"))
        )
        if paid is None:
            continue
        revenue = paid - (refunded or Decimal(0))
        if not is_purchase:
            # Given back wholly, whether or not it says so; a return that stands alone takes away.
            revenue = min(revenue, Decimal(0))
        margin = revenue * reporting.gross_margin if cost is None else revenue - cost
        customer, cash_day = found.identities.of_user(order["user_id"]), day
        if order.get("refunded_at") is not None:
            cash_day = reporting.day(order["refunded_at"])
            if is_purchase and cash_day != day:
                # The money came on one day and went on another; both belong to the order.
                back = refunded or Decimal(0)
                back_margin = -back * (reporting.gross_margin if cost is None else 1)
                amounts.append(Amount(customer, day, cash_day, -back, back_margin, False))
                revenue, margin, cash_day = revenue + back, margin - back_margin, day
        amounts.append(Amount(customer, day, cash_day, revenue, margin, is_purchase))

    payments = latest_state(facts.get("payments", ()), ["payment_id"])
    originals = {payment["payment_id"]: payment for payment in payments if payment["status"] == "succeeded"}
    for payment in payments:
        original = originals.get(payment.get("refund_of") or "") if payment["status"] == "refunded" else None
        # A refund is of the kind, and of the owner, of what it gives back. An order counts itself, not its payment.
        if payment["status"] == "failed" or _is_for_order(payment, original, facts):
            continue
        customer_id = _owner(payment, found) or (_owner(original, found) if original else None)
        if customer_id is None:
            continue
        paid = rates.convert(payment["amount"], payment["currency"], reporting.day(payment["paid_at"]))
        if paid is None:
            continue
        revenue = paid if payment["status"] == "succeeded" else -paid
        day, cash_day = (reporting.day(row["paid_at"]) for row in (original or payment, payment))
        margin = revenue * reporting.gross_margin
        amounts.append(Amount(customer_id, day, cash_day, revenue, margin, payment["status"] == "succeeded"))
    return amounts + [refund.amount for refund in order_refunds(facts, reporting, found) if refund.amount]


class OrderRefund(NamedTuple):
    """A payment that gives back money for an order: what it takes from its customer, or why nothing."""

    payment_id: str
    outcome: str
    amount: Amount | None = None


def order_refunds(facts: Facts, reporting: Reporting, found: People) -> list[OrderRefund]:
    """Refunds of kind order among the payments, each counted unless its order says it or nothing tells which order it is of."""
    rates = Rates(facts, reporting)
    facts = counted(facts, reporting)
    orders = {order["order_id"]: order for order in facts.get("orders", ())}
    payments = facts.get("payments", ())
    originals = {payment["payment_id"]: payment for payment in payments if payment["status"] == "succeeded"}
    refunds = []
    for payment in payments:
        original = originals.get(payment.get("refund_of") or "")
        if payment["status"] != "refunded" or not _is_for_order(payment, original, facts):
            continue
        paid_day = reporting.day(payment["paid_at"])
        paid = rates.convert(payment["amount"], payment["currency"], paid_day)
        if paid is None:
            continue
        order_id = payment.get("order_id") or (original or {}).get("order_id")
        if not order_id and payment.get("refund_of") in orders:
            order_id = payment["refund_of"]
        if order := orders.get(order_id or ""):
            outcome, customer_id, day = "counted", found.identities.of_user(order["user_id"]), reporting.day(order["ordered_at"])
            if _stated_refund(order, reporting) or (_is_undone(order) and order["amount"] > 0):
                outcome = "stated_by_order"
            elif rates.convert(order["amount"], order["currency"], day) is None:
                outcome = "order_unconverted"
        else:
            owner = payment if payment.get("user_id") or payment.get("account_id") else original or payment
            customer_id = found.identities.of_user(owner["user_id"]) if owner.get("user_id") else None
            outcome, day = _unlinked(payment, order_id, customer_id, rates, reporting, found, list(orders.values())), paid_day
            if original:
                day = reporting.day(original["paid_at"])
        if outcome == "counted":
            assert customer_id
            share = Decimal(1) if order and order.get("cost") is not None else reporting.gross_margin
            amount = Amount(customer_id, day, paid_day, -paid, -paid * share, False)
            refunds.append(OrderRefund(payment["payment_id"], outcome, amount))
        else:
            refunds.append(OrderRefund(payment["payment_id"], outcome))
    return refunds


def _unlinked(
    payment: Row,
    order_id: str | None,
    customer_id: str | None,
    rates: "Rates",
    reporting: Reporting,
    found: People,
    orders: Sequence[Row],
) -> str:
    """What becomes of a refund without an order: it counts when its payer bought something before and has given nothing back."""
    if order_id:
        return "order_unknown"
    if not payment.get("refund_of"):
        return "unlinked"
    own = [order for order in orders if found.identities.of_user(order["user_id"]) == customer_id]
    days = [
        reporting.day(order["ordered_at"])
        for order in own
        if not _is_undone(order)
        and rates.convert(order["amount"], order["currency"], reporting.day(order["ordered_at"])) is not None
    ]
    if not any(day <= reporting.day(payment["paid_at"]) for day in days):
        return "nothing_bought"
    return "ambiguous" if any(_is_undone(order) or _stated_refund(order, reporting) for order in own) else "counted"


def _is_for_order(payment: Row, original: Row | None, facts: Facts) -> bool:
    """A payment is of the kind that it says, of an order that it names, or of the kind of what it gives back."""
    for row in filter(None, (payment, original)):
        if row.get("kind") or row.get("order_id"):
            return (row.get("kind") or "order") == "order"
    if payment["status"] != "refunded" or original:
        return False
    return payment.get("refund_of") in {order["order_id"] for order in facts.get("orders", ())}


def _is_undone(order: Row) -> bool:
    return (order.get("status") or "").lower() in NO_PURCHASE


def _stated_refund(order: Row, reporting: Reporting) -> Decimal:
    """What an order says was given back by the last complete day."""
    refunded_at = order.get("refunded_at")
    if refunded_at is not None and reporting.day(refunded_at) > reporting.data_through:
        return Decimal(0)
    return order.get("refunded_amount") or Decimal(0)


class Rates:
    """US dollars for a currency on a day: the last rate known by then."""

    def __init__(self, facts: Facts, reporting: Reporting) -> None:
        self._reporting = reporting
        self._rates: dict[str, list[tuple[date, Decimal]]] = defaultdict(list)
        for row in first_landed(facts.get("fx_rates", ()), ["rate_date", "currency"]):
            if row["usd_rate"] > 0:
                self._rates[row["currency"]].append((row["rate_date"], row["usd_rate"]))

    def usd(self, currency: str, day: date) -> Decimal | None:
        """Rate on a day; None when none is known yet."""
        if currency == "USD":
            return Decimal(1)
        return max((rate for rate in self._rates[currency] if rate[0] <= day), default=(day, None))[1]

    def convert(self, amount: Decimal | None, currency: str, day: date) -> Decimal | None:
        """An amount in the reporting currency, four decimals; None when a rate is unknown."""
        if amount is None or currency == self._reporting.currency:
            return amount
        own, base = self.usd(currency, day), self.usd(self._reporting.currency, day)
        return None if own is None or base is None else _round(amount * _round(own / base, 10), 4)


def _owner(payment: Row, found: People) -> str | None:
    """An account pays; a user without one pays for itself."""
    user_id = payment.get("user_id")
    account_id = payment.get("account_id")
    if user_id and not account_id:
        account_id = found.users.get(user_id, {}).get("account_id")
    if account_id:
        return f"c:{account_id}"
    return found.identities.of_user(user_id) if user_id else None


def _customer(customer_id: str, facts: Facts, found: People) -> Person:
    """Where a customer came from: a person by its first touch, an account by its founder's; its own country comes first."""
    if not customer_id.startswith("c:"):
        return found.persons.get(customer_id, Person(customer_id))
    account_id = customer_id.removeprefix("c:")
    users = sorted(
        (user for user in found.users.values() if user.get("account_id") == account_id),
        key=lambda user: (user["signed_up_at"], user["user_id"]),
    )
    members = [found.persons[found.identities.of_user(user["user_id"])] for user in users]
    accounts: Mapping[str, Row] = {row["account_id"]: row for row in latest_state(facts.get("accounts", ()), ["account_id"])}
    founder = members[0] if members else Person(customer_id)
    return Person(
        customer_id,
        channel=founder.channel,
        country=accounts.get(account_id, {}).get("country") or founder.country,
        is_internal=bool(members) and all(member.is_internal for member in members),
    )


def _round(value: Decimal, places: int) -> Decimal:
    return value.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP)
