"""Business outcomes measured by paying accounts: expected and actual.

Belongs here: `outcomes`. Does not belong here: payments of accounts (`billing`).
"""

from collections import Counter

import numpy as np
import pyarrow as pa

from orchestration.simulator import parameters as p
from orchestration.simulator.billing import Billing
from orchestration.simulator.clock import HOUR, Calendar, stream
from orchestration.simulator.files import labels, money, numbered, timestamps
from orchestration.simulator.ledger import CURRENCIES
from orchestration.simulator.people import People


class Outcomes:
    """Each account has its own day in the cycle; its outcomes depend on its satisfaction."""

    def __init__(self, calendar: Calendar, people: People, billing: Billing, seed: int) -> None:
        self._calendar, self._billing, self._seed = calendar, billing, seed
        self.realised: Counter[str] = Counter()
        rng = stream(seed, "outcomes.accounts")
        n = len(people.account_kind)
        self._phase = rng.integers(0, p.OUTCOME_EVERY_DAYS, n)
        self._expected = np.round(rng.lognormal(np.log(p.OUTCOME_EXPECTED_ROI_MEDIAN), 0.3, n), 2)

    def outcomes(self, day: int) -> pa.Table | None:
        """Measurements of the day."""
        rng = stream(self._seed, "outcomes.day", day)
        n = len(self._phase)
        noise, at = rng.normal(0, p.OUTCOME_RATIO["noise"], n), ((9 + 9 * rng.random(n)) * HOUR).astype(np.int64)
        account = np.flatnonzero(self._billing.paying & ((day + self._phase) % p.OUTCOME_EVERY_DAYS == 0))
        if not len(account):
            return None
        discontent = self._billing.churn_logit[account] - p.SATISFACTION_MIDDLE
        ratio = np.maximum(p.OUTCOME_RATIO["mean"] - p.OUTCOME_RATIO["slope"] * discontent + noise[account], 0.05)
        expected = self._expected[account]
        actual = np.round(expected * ratio, 4)
        # Savings relative to a quarter's price, in cents.
        saved = (self._billing.mrr(account) * 3 * actual).astype(np.int64)
        self.realised["measurements"] += len(account)
        self.realised["reached_what_was_expected"] += int((actual >= expected).sum())
        return pa.table(
            {
                "account_id": numbered("acc_", account + 1, 5),
                "measured_at": timestamps(self._calendar.start(day) + at[account]),
                "expected_roi": money(np.round(expected * 100).astype(np.int64)),
                "actual_roi": money(np.round(actual * 10_000).astype(np.int64), scale=4),
                "efficiency_gain": money(np.round(np.clip(ratio * 0.2, 0, 1) * 10_000).astype(np.int64), scale=4),
                "cost_savings": money(saved),
                "currency": labels(CURRENCIES, self._billing.currency[account]),
            }
        )
