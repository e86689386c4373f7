"""The ledger of contracts: changes and payments as they are written, and their landed rows.

Belongs here: numbers of payments, lateness, corrections, columns of `subscriptions` and `payments`. Does not belong here: the
reasons for changes and payments (`billing`).
"""

from collections import Counter

import numpy as np
import pyarrow as pa

from orchestration.simulator import parameters as p
from orchestration.simulator.clock import DAY, Calendar, stream
from orchestration.simulator.files import labels, look_up, money, numbered, timestamps
from orchestration.simulator.people import People
from orchestration.simulator.tables import LaterStates, Records, Rows, select

PLANS = ("free", "professional", "enterprise", "custom")
FREE, PROFESSIONAL, ENTERPRISE, CUSTOM = range(4)
INTERVALS = ("month", "year")
STATUSES = ("trialing", "active", "past_due", "canceled")
TRIALING, ACTIVE, PAST_DUE, CANCELED = range(4)
CURRENCIES = ("CNY", "EUR")
OUTCOMES = ("succeeded", "failed", "refunded")
SUCCEEDED, FAILED, REFUNDED = range(3)


class Ledger:
    """All changes and payments of billing. realised: counts of the simulated company's truth, to which it adds."""

    def __init__(self, calendar: Calendar, people: People, seed: int, realised: Counter[str]) -> None:
        self._calendar, self._people, self._seed, self._realised = calendar, people, seed, realised
        self._user_ids = numbered("u_", people.user, 6)
        self._payment_count = 0
        self._changes = Records(calendar, seed, "billing.changes")
        self._payments = Records(calendar, seed, "billing.payments")
        self._corrections = LaterStates(calendar, seed, "billing.payments")

    def change(self, changes: Rows) -> None:
        """Write new states of contracts."""
        self._changes.add(changes)

    def pay(self, payments: Rows) -> Rows:
        """Write payments, refusals or refunds, numbered in the order of writing; returns them with their numbers."""
        count = len(payments["account"])
        numbered_payments = {**payments, "number": self._payment_count + 1 + np.arange(count)}
        if count:
            self._payment_count += count
            self._payments.add(numbered_payments)
        return numbered_payments

    def subscriptions(self, day: int) -> pa.Table | None:
        """Changes that arrive on the day, as rows of `subscriptions`."""
        changes = self._changes.arrive(day)
        if changes is None:
            return None
        self._count("changes", self._changes, changes)
        return pa.table(
            {
                "subscription_id": numbered("sub_", changes["account"] + 1, 5),
                "account_id": numbered("acc_", changes["account"] + 1, 5),
                "changed_at": timestamps(changes["at"]),
                "plan": labels(PLANS, changes["plan"]),
                "billing_interval": labels(INTERVALS, changes["interval"]),
                "mrr": money(changes["mrr"]),
                "currency": labels(CURRENCIES, changes["currency"]),
                "status": labels(STATUSES, changes["status"]),
                "seats": pa.array(changes["seats"]),
                "renews_at": timestamps(changes["renews"]),
            }
        )

    def payments(self, day: int) -> pa.Table | None:
        """Payments, refusals and refunds that arrive on the day, as rows of `payments`."""
        payments = self._payments.arrive(day)
        if payments is not None:
            self._count("payments", self._payments, payments)
            self._realised["refunds"] += int((payments["outcome"] == REFUNDED).sum())
            self._realised["failed_payments"] += int((payments["outcome"] == FAILED).sum())
            payments = self._correct(payments, day)
        payments = self._corrections.behind(payments, day)
        if payments is None:
            return None
        payer = self._people.account_founder[payments["account"]]
        return pa.table(
            {
                "payment_id": numbered("pay_", payments["number"], 7),
                "account_id": numbered("acc_", payments["account"] + 1, 5),
                "user_id": look_up(self._user_ids, payer),
                "paid_at": timestamps(payments["at"]),
                "kind": labels(("subscription",), np.zeros(len(payer), dtype=np.int64)),
                "amount": money(payments["amount"]),
                "currency": labels(CURRENCIES, payments["currency"]),
                "status": labels(OUTCOMES, payments["outcome"]),
                "refund_of": numbered("pay_", payments["refund_of"], 7),
                "order_id": numbered("ord_", np.full(len(payer), -1), 7),
                "updated_at": timestamps(payments["updated"]),
            }
        )

    def _correct(self, payments: Rows, day: int) -> Rows:
        """Let some payments of the day land with an amount 10 % too high, and with the correct one days later."""
        rng = stream(self._seed, "billing.corrections", day)
        chance, waits = rng.random(len(payments["at"])), rng.uniform(*p.CORRECTION_DAYS, len(payments["at"]))
        right = {**payments, "updated": payments["at"]}
        wrong = (chance < p.PAYMENT_CORRECTION_RATE) & (payments["outcome"] == SUCCEEDED)
        wrong &= payments["at"] >= int(self._calendar.start(0))
        first = {**right, "amount": np.where(wrong, payments["amount"] * 11 // 10, payments["amount"])}
        written = self._calendar.start(day) + (waits * DAY).astype(np.int64)
        self._corrections.add(select(first, wrong), select({**right, "updated": written}, wrong), day)
        self._realised["payment_corrections"] += int(wrong.sum())
        return first

    def _count(self, name: str, records: Records, landed: Rows) -> None:
        self._realised[f"late_{name}"] += int(landed["late"].sum())
        self._realised[f"{name}_not_arrived"] = records.waiting
