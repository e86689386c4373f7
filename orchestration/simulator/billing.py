"""Subscriptions, payments and churn: each account's contract from day to day.

Belongs here: trials, renewals, refusals, cancellations, returns, refunds. Does not belong here: use of the product
(`activity`), and the landed rows (`ledger`).
"""

from collections import Counter, deque

import numpy as np

from orchestration.simulator import parameters as p
from orchestration.simulator.activity import Activity
from orchestration.simulator.clock import DAY, HOUR, MINUTE, NEVER, SECOND, Calendar, Floats, Ints, Mask, stream
from orchestration.simulator.ledger import (
    ACTIVE,
    CANCELED,
    CURRENCIES,
    CUSTOM,
    ENTERPRISE,
    FAILED,
    FREE,
    INTERVALS,
    PAST_DUE,
    PLANS,
    PROFESSIONAL,
    REFUNDED,
    SUCCEEDED,
    TRIALING,
    Ledger,
)
from orchestration.simulator.people import NEW, PAYING_BASE, STAFF, People, pick
from orchestration.simulator.support import Support
from orchestration.simulator.tables import Rows, select

_NONE = -1  # no contract
_RATED_EVERY, _SCORE_STEPS = 15, 10_000


def add_months(at: Ints, months: Ints | int) -> Ints:
    """Add calendar months, keeping the time of day; days after the 28th become the 28th, which every month has."""
    month = at.astype("datetime64[us]").astype("datetime64[M]")
    offset = at - month.astype("datetime64[us]").astype(np.int64)
    offset = np.minimum(offset, 27 * DAY + offset % DAY)
    return np.asarray((month + np.asarray(months)).astype("datetime64[us]").astype(np.int64) + offset)


class Billing:
    """The contract of every account, advanced one day at a time. At most one change per account and day."""

    def __init__(self, calendar: Calendar, people: People, seed: int, constant_churn: float | None) -> None:
        self._calendar, self._people, self._seed = calendar, people, seed
        self._constant_churn = constant_churn
        self.realised: Counter[str] = Counter()
        n = len(people.account_kind)
        rng = stream(seed, "billing.plans")
        # Custom contracts are upgrades from enterprise; the plan that an account would buy is drawn for all.
        self._plan = pick(rng, list(p.PLAN_SHARES.values()), n) + PROFESSIONAL
        self._wanted = self._plan.copy()
        self._interval = (rng.random(n) < p.YEARLY_SHARE).astype(np.int64)
        self._interval[self._plan == CUSTOM] = 1
        self._custom_price = (rng.lognormal(np.log(p.CUSTOM_YEAR_CNY_MEDIAN), 0.4, n) // 100 * 10_000).astype(np.int64)
        german = people.country[people.account_founder] == list(p.COUNTRIES).index("DE")
        self.currency = (german & (self._plan != CUSTOM)).astype(np.int64)
        self._failure_rate = np.minimum(p.PAYMENT_FAILURE_RATE * rng.gamma(2.0, 0.5, n), 0.6)
        members = np.flatnonzero(people.account >= 0)
        self._seats = np.bincount(people.account[members], minlength=n)
        self._status = np.full(n, _NONE)
        self._trial_end = np.full(n, NEVER)
        self._first_paid = np.full(n, NEVER)
        self._renews = np.full(n, NEVER)
        self._attempts = np.zeros(n, dtype=np.int64)
        self._retry_day = np.full(n, -1)
        self._failed_at = np.full(n, -NEVER)
        self.ledger = Ledger(calendar, people, seed, self.realised)
        journeys = people.journeys
        payers = np.flatnonzero(journeys.paid_at < NEVER)
        self._first_paid[people.account[journeys.person[payers]]] = journeys.paid_at[payers]
        self.churn_logit: Floats = np.full(n, p.SATISFACTION_MIDDLE)
        self._scorecard = Scorecard(calendar)

    @property
    def paying(self) -> Mask:
        """Flag per account: holds a paid contract (active or past due on a plan that costs)."""
        return np.asarray(np.isin(self._status, (ACTIVE, PAST_DUE)) & (self._plan != FREE))

    @property
    def canceled(self) -> Mask:
        """Flag per account: canceled."""
        return np.asarray(self._status == CANCELED)

    def found(self) -> None:
        """Write the history of the customers from before the first day, up to its start."""
        people, start = self._people, int(self._calendar.start(0))
        base = np.flatnonzero((people.account_kind != NEW) & (people.account_kind != STAFF))
        created = people.account_created[base]
        self._start_trials(base, created)
        buys = people.account_kind[base] == PAYING_BASE
        self._end_trials(base[~buys], self._trial_end[base[~buys]])
        payers = base[buys]
        rng = stream(self._seed, "billing.past")
        due = people.account_created[payers] + (rng.uniform(3, 13, len(payers)) * DAY).astype(np.int64)
        self._first_paid[payers] = due
        while len(payers):
            self._renew(rng, payers, due)
            keep = self._renews[payers] < start
            payers = payers[keep]
            due = self._renews[payers]
        self._trial_end[base] = NEVER
        self._first_paid[base] = NEVER

    def step(self, day: int, activity: Activity, support: Support) -> None:
        """Apply everything that happens to contracts on the day; use and tickets of the day are already known."""
        start, end = (int(value) for value in self._calendar.start(np.array([day, day + 1])))
        rng = stream(self._seed, "billing.step", day)
        n = len(self._status)
        failure, retry, leave, back, change = (rng.random(n) for _ in range(5))
        moment = start + ((8 + 13 * rng.random(n)) * HOUR).astype(np.int64)
        free_today = np.ones(n, dtype=bool)

        def take(mask: Mask) -> Ints:
            chosen = np.flatnonzero(mask & free_today)
            free_today[chosen] = False
            return chosen

        def today(at: Ints) -> Mask:
            return (at >= start) & (at < end)

        created = take(today(self._people.account_created) & (self._people.account_kind == NEW))
        self._start_trials(created, self._people.account_created[created])
        first = take(today(self._first_paid))
        self._renew(rng, first, self._first_paid[first])
        over = take(today(self._trial_end) & (self._status == TRIALING))
        self._end_trials(over, self._trial_end[over])

        due = take((self._status == ACTIVE) & today(self._renews))
        refused = failure[due] < self._failure_rate[due]
        self._change_plans(due[~refused], change)
        self._renew(rng, due[~refused], self._renews[due[~refused]])
        self._refuse(due[refused], self._renews[due[refused]], day)

        again = take((self._status == PAST_DUE) & (self._retry_day == day))
        pays = retry[again] < p.RETRY_SUCCESS_RATE
        if self._constant_churn is not None:
            # Otherwise earlier refusals would reveal who is about to be canceled.
            pays |= self._attempts[again] >= len(p.RETRY_DAYS)
        self._renew(rng, again[pays], moment[again[pays]])
        self._refuse(again[~pays], moment[again[~pays]], day)

        hazard = self._hazard(activity, support, day, end)
        leavers = take(self.paying & (leave < 1 - (1 - hazard) ** (1 / 30)))
        self._cancel(leavers, moment[leavers], day)
        self.realised["voluntary_cancellations"] += len(leavers)

        returns = take((self._status == CANCELED) & (back < 1 - (1 - p.REACTIVATION_RATE_30D) ** (1 / 30)))
        self._renew(rng, returns, moment[returns])
        self.realised["reactivations"] += len(returns)
        self._scorecard.close(day, self.paying, hazard)

    def _hazard(self, activity: Activity, support: Support, day: int, end: int) -> Floats:
        """Probability of leaving within 30 days; also updates the logit in any case, because surveys depend on it."""
        weights = p.CHURN_LOGIT
        to_renewal = np.maximum(self._renews - end, 0) / DAY
        severity, unsolved = support.recent()
        self.churn_logit = (
            weights["intercept"]
            + weights["usage_decline"] * activity.decline(day)
            + weights["engagement"] * np.minimum(1, activity.recent(day) / (5 * self._seats))
            + weights["failed_payment"] * (self._failed_at > end - 30 * DAY)
            + weights["contract_proximity"] * np.maximum(0, 1 - to_renewal / 30)
            + weights["feature_adoption"] * self._people.account_breadth / len(p.FEATURES)
            + weights["enterprise"] * (self._plan >= ENTERPRISE)
            + weights["tickets"] * np.minimum(1, severity)
            + weights["unsolved"] * (unsolved > 0)
        )
        if self._constant_churn is not None:
            return np.full(len(self.churn_logit), self._constant_churn)
        return np.asarray(1 / (1 + np.exp(-self.churn_logit)))

    def _price(self, accounts: Ints) -> Ints:
        """Cents per billing interval."""
        price = np.array([[[p.PRICES[c][plan, i] for i in INTERVALS] for plan in PLANS[1:3]] for c in CURRENCIES])
        listed = price[self.currency[accounts], np.clip(self._plan[accounts], 1, 2) - 1, self._interval[accounts]]
        custom = self._plan[accounts] == CUSTOM
        return np.where(custom, self._custom_price[accounts], np.where(self._plan[accounts] == FREE, 0, listed))

    def mrr(self, accounts: Ints) -> Ints:
        """Cents per month."""
        price = self._price(accounts)
        return np.where(self._interval[accounts] == 1, (price + 6) // 12, price)

    def _record(self, accounts: Ints, at: Ints, *, mrr: Ints | None = None) -> None:
        if len(accounts):
            self.ledger.change(
                {
                    "account": accounts,
                    "at": at,
                    "plan": self._plan[accounts],
                    "interval": np.where(self._plan[accounts] == FREE, -1, self._interval[accounts]),
                    "mrr": self.mrr(accounts) if mrr is None else mrr,
                    "currency": self.currency[accounts],
                    "status": self._status[accounts],
                    "seats": self._seats[accounts],
                    "renews": self._renews[accounts],
                }
            )

    def _charge(self, accounts: Ints, at: Ints, outcome: int) -> Rows:
        return self.ledger.pay(
            {
                "account": accounts,
                "at": at,
                "amount": self._price(accounts),
                "currency": self.currency[accounts],
                "outcome": np.full(len(accounts), outcome),
                "refund_of": np.full(len(accounts), -1),
            }
        )

    def _start_trials(self, accounts: Ints, at: Ints) -> None:
        self._status[accounts] = TRIALING
        self._trial_end[accounts] = at + p.TRIAL_DAYS * DAY
        self._renews[accounts] = self._trial_end[accounts]
        self._record(accounts, at + SECOND)

    def _end_trials(self, accounts: Ints, at: Ints) -> None:
        self._plan[accounts], self._status[accounts], self._renews[accounts] = FREE, ACTIVE, NEVER
        self._record(accounts, at)

    def _renew(self, rng: np.random.Generator, accounts: Ints, at: Ints) -> None:
        """Charge a term successfully and write the new state."""
        # A payer after the trial's end still buys the plan that was drawn.
        self._plan[accounts] = np.where(self._plan[accounts] == FREE, self._wanted[accounts], self._plan[accounts])
        charge = self._charge(accounts, at, SUCCEEDED)
        self._status[accounts], self._attempts[accounts] = ACTIVE, 0
        self._renews[accounts] = add_months(at, np.where(self._interval[accounts] == 1, 12, 1))
        self._record(accounts, at + SECOND)
        refunded = np.flatnonzero(rng.random(len(accounts)) < p.REFUND_RATE)
        if len(refunded):
            refund = select(charge, refunded)
            refund["at"] = refund["at"] + (rng.uniform(2, 10, len(refunded)) * DAY).astype(np.int64)
            refund["outcome"] = np.full(len(refunded), REFUNDED)
            refund["refund_of"] = refund["number"]
            self.ledger.pay(refund)

    def _refuse(self, accounts: Ints, at: Ints, day: int) -> None:
        if not len(accounts):
            return
        self._charge(accounts, at, FAILED)
        self._failed_at[accounts] = at
        last = self._attempts[accounts] >= len(p.RETRY_DAYS)
        waiting = accounts[~last]
        self._retry_day[waiting] = day + np.array(p.RETRY_DAYS)[self._attempts[waiting]]
        newly = waiting[self._status[waiting] == ACTIVE]
        self._status[waiting] = PAST_DUE
        self._attempts[waiting] += 1
        self._record(newly, at[~last][np.isin(waiting, newly)] + SECOND)
        self._cancel(accounts[last], at[last] + MINUTE, day)
        self.realised["involuntary_cancellations"] += int(last.sum())

    def _cancel(self, accounts: Ints, at: Ints, day: int) -> None:
        self._status[accounts], self._renews[accounts] = CANCELED, NEVER
        self._record(accounts, at, mrr=np.zeros(len(accounts), dtype=np.int64))
        self._scorecard.cancel(accounts, day)

    def _change_plans(self, accounts: Ints, draw: Floats) -> None:
        up = accounts[(self._plan[accounts] == PROFESSIONAL) & (draw[accounts] < p.UPGRADE_RATE)]
        down = accounts[(self._plan[accounts] == ENTERPRISE) & (draw[accounts] > 1 - p.DOWNGRADE_RATE)]
        self._plan[up], self._plan[down] = ENTERPRISE, PROFESSIONAL
        self.realised["upgrades"] += len(up)
        self.realised["downgrades"] += len(down)

    def churn_truth(self) -> dict[str, object]:
        """How well the planted probability ranks leavers, on as-of days whose 30 days are over."""
        return self._scorecard.truth()


class Scorecard:
    """Planted probabilities on every 15th day against the accounts that left within the next 30 days.

    Keeps the days still open and, for closed days, counts by probability in steps of 0.0001.
    """

    def __init__(self, calendar: Calendar) -> None:
        self._calendar = calendar
        self._open: deque[tuple[int, Ints, Floats]] = deque()
        self._cancels: deque[tuple[int, Ints]] = deque()
        self._cancellations = 0
        self._counts = np.zeros((2, _SCORE_STEPS + 1), dtype=np.int64)
        self._paying: dict[str, int] = {}

    def cancel(self, accounts: Ints, day: int) -> None:
        """Record the accounts that left on the day."""
        self._cancels.append((day, accounts))
        self._cancellations += len(accounts)

    def close(self, day: int, paying: Mask, hazard: Floats) -> None:
        """Score the accounts at the end of every 15th day, and settle the day whose 30 days are over."""
        while self._open and self._open[0][0] + 30 <= day:
            rated_on, accounts, rated = self._open.popleft()
            left = [gone for at, gone in self._cancels if rated_on < at <= rated_on + 30]
            churned = np.isin(accounts, np.concatenate(left)) if left else np.zeros(len(accounts), dtype=bool)
            np.add.at(self._counts, (churned.astype(np.int64), np.round(rated * _SCORE_STEPS).astype(np.int64)), 1)
        while self._cancels and self._cancels[0][0] <= day - 30 - _RATED_EVERY:
            self._cancels.popleft()
        if day % _RATED_EVERY == 0:
            accounts = np.flatnonzero(paying)
            self._open.append((day, accounts, hazard[accounts]))
            self._paying[self._calendar.date(day).isoformat()] = len(accounts)

    def truth(self) -> dict[str, object]:
        """Account periods, labels, their rate, and the area under the curve of the planted probability."""
        stayed, churned = self._counts
        good, bad = int(churned.sum()), int(stayed.sum())
        ranked = int((churned * (2 * np.cumsum(stayed) - stayed)).sum()) / 2
        return {
            "account_periods": good + bad,
            "churn_labels": good,
            "churn_rate_30d": round(good / (good + bad), 4) if good + bad else None,
            "hazard_auc": round(ranked / (good * bad), 4) if good and bad else None,
            "cancellations": self._cancellations,
            "paying_by_as_of_day": self._paying,
        }
