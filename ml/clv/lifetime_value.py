"""Lifetime values: the margin observed so far plus the expected margin, discounted by month.

Belongs here: input frames, the values of shop customers and of subscribers, and the uncertainty of their sums.
Does not belong here: the models' likelihoods, cohorts and missing models (`cohorts`), and SQL.

A lifetime value covers the 12, 24 or 36 months after a customer's first payment: the observed margin, undiscounted, plus the
margin expected in the remaining time, if any. With a monthly rate d, expected money in the k-th month from now is worth
1 / (1 + d)^k.

Intervals: the variance of a sum of predictions reflects the uncertainty of the parameters only (delta method, no random draws).
It excludes the variation of individual customers, errors of margins and discount rates, dependence between margin and tenure or
between order value and rate, and changes of the model or the market.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from ml.clv.beta_geo_nbd import BetaGeoNBD
from ml.clv.gamma_gamma import GammaGamma
from ml.clv.inputs import (
    ClvError,
    ConstantChurnError,
    ConvergenceError,
    DegenerateDataError,
    require_columns,
    require_number,
    vector,
)
from ml.clv.likelihood import delta_variance
from ml.clv.shifted_beta_geometric import ShiftedBetaGeometric, ShiftedGeometric

if TYPE_CHECKING:
    from numpy.typing import NDArray

HORIZONS = (12, 24, 36)
DAYS_PER_MONTH = 365.25 / 12
SHOP_METHOD, SUBSCRIPTION_METHOD = "bg_nbd_gamma_gamma", "sbg"

_MARGINS = tuple(f"margin_{horizon}m" for horizon in HORIZONS)
_REMAINING = tuple(f"remaining_days_{horizon}m" for horizon in HORIZONS)
CUSTOMER_COLUMNS = ("frequency", "recency_days", "age_days", "mean_repeat_value", "order_margin", *_MARGINS, *_REMAINING)
TENURE_COLUMNS = ("period", "lost", "alive", "entered")
ACCOUNT_COLUMNS = ("tenure_months", "age_months", "next_payment_month", "monthly_margin", *_MARGINS)
SEGMENT = ("plan", "channel")


class CustomerLifetimeValue(BaseEstimator):  # type: ignore[misc]
    """Value of shop customers: BG/NBD for order frequency, Gamma-Gamma for order value, assumed to be independent.

        V_h = observed margin_h + margin share · E[M | x, m] · Σ_k (E[Y(t_k)] − E[Y(t_(k−1))]) / (1 + d)^k

    with t_k the end of the k-th month (365.25 / 12 days) from now, truncated at h months after the first payment.

    monthly_discount_rate: d, at least 0.
    label: name of the customer group, for messages.

    After `fit`: `purchases_` (BetaGeoNBD, in days) and `values_` (GammaGamma).

    Reference: P. Fader, B. Hardie and K. L. Lee (2005), RFM and CLV: using iso-value curves for customer base analysis, Journal
    of Marketing Research 42(4), for the product of discounted transactions and expected value.
    """

    def __init__(self, *, monthly_discount_rate: float = 0.01, label: str = "all customers") -> None:
        self.monthly_discount_rate = monthly_discount_rate
        self.label = label

    def fit(self, frame: "pd.DataFrame") -> Self:
        """Fit both models on one row per customer, in any order.

        frame: person_id (unique, not NULL); frequency (days with an order after the first such day); recency_days (days from
        the first order to the last); age_days (days from the first order to the end of observation); mean_repeat_value (money
        per repeat day; NaN without a repeat); order_margin (margin as a share of order value, at most 1); and for 12, 24 and 36
        months margin_12m (money observed in that time after the first order) and remaining_days_12m (days of that time after the
        end of observation). The order of rows has no effect on the result.

        Raises ClvError for an invalid frame; DegenerateDataError and ConvergenceError like the models.
        """
        customers = self._checked(frame)
        recency, age = customers["recency_days"].to_numpy(), customers["age_days"].to_numpy()
        self.purchases_ = BetaGeoNBD(label=self.label).fit(customers["frequency"].to_numpy(), recency, age)
        self.values_ = GammaGamma(label=self.label).fit(
            customers["frequency"].to_numpy(), customers["mean_repeat_value"].to_numpy()
        )
        return self

    def predict(self, frame: "pd.DataFrame") -> "pd.DataFrame":
        """Predict one row per customer of a frame as for `fit`, in the order of person_id.

        Returns person_id, p_alive in [0, 1], expected_orders_90d and expected_orders_365d (days with an order, from now on),
        expected_order_value (money), predicted_ltv_12m, predicted_ltv_24m and predicted_ltv_36m (money), and method
        (`bg_nbd_gamma_gamma`).
        """
        check_is_fitted(self, "purchases_")
        customers = self._checked(frame)
        history = tuple(customers[name].to_numpy() for name in ("frequency", "recency_days", "age_days"))
        future, value = _Future.of(customers), self._value(customers, self.values_)
        p_alive = self.purchases_.p_alive(*history)
        predicted = pd.DataFrame({"person_id": customers["person_id"], "p_alive": p_alive})
        for days in (90, 365):
            predicted[f"expected_orders_{days}d"] = p_alive * future.orders_within(self.purchases_, days)
        predicted["expected_order_value"] = value
        money = customers[list(_MARGINS)].to_numpy() + self._expected(customers, future, self.purchases_, value)
        return predicted.assign(**dict(zip(money_columns(), money.T, strict=True)), method=SHOP_METHOD)

    def sums(self, frame: "pd.DataFrame", groups: csr_matrix) -> "tuple[NDArray[np.float64], NDArray[np.float64]]":
        """Sum the expected part of the values over groups of customers, and return the variance of each sum.

        frame: as for `fit`, sorted by person_id. groups: (m, n), 1 if the customer belongs to the group. Both results: (m, 3).
        """
        check_is_fitted(self, "purchases_")
        customers = self._checked(frame)
        future, value = _Future.of(customers), self._value(customers, self.values_)

        def of_purchases(model: BetaGeoNBD) -> "NDArray[np.float64]":
            return np.ravel(groups @ self._expected(customers, future, model, value))

        expected = self._expected(customers, future, self.purchases_, np.ones(len(customers)))

        def of_values(model: GammaGamma) -> "NDArray[np.float64]":
            return np.ravel(groups @ (expected * self._value(customers, model)[:, None]))

        # The two models were fitted apart and share no parameter: their contributions to the variance add.
        variance = delta_variance(self.purchases_, of_purchases) + delta_variance(self.values_, of_values)
        shape = (groups.shape[0], len(HORIZONS))
        return of_values(self.values_).reshape(shape), variance.reshape(shape)

    @property
    def _subject(self) -> str:
        return f"{type(self).__name__} ({self.label})"

    def _expected(
        self, customers: "pd.DataFrame", future: "_Future", purchases: BetaGeoNBD, value: "NDArray[np.float64]"
    ) -> "NDArray[np.float64]":
        """Return the expected discounted margin to each horizon of customers with this order value: shape (n, 3)."""
        alive = purchases.p_alive(*(customers[name].to_numpy() for name in ("frequency", "recency_days", "age_days")))
        weight = alive * value * customers["order_margin"].to_numpy()
        expected: NDArray[np.float64] = future.discounted_orders(purchases, self.monthly_discount_rate) * weight[:, None]
        return expected

    def _value(self, customers: "pd.DataFrame", values: GammaGamma) -> "NDArray[np.float64]":
        return values.conditional_expected_value(customers["frequency"].to_numpy(), customers["mean_repeat_value"].to_numpy())

    def _checked(self, frame: "pd.DataFrame") -> "pd.DataFrame":
        """Return the frame with its numeric columns as floats, in the order of person_id."""
        require_number(self.monthly_discount_rate, "monthly_discount_rate", self._subject, lowest=0)
        require_columns(frame, ("person_id", *CUSTOMER_COLUMNS), self._subject)
        persons = frame["person_id"]
        if persons.isna().any() or persons.duplicated().any():
            raise ClvError(
                f"{self._subject}: person_id must name each customer once; {int(persons.isna().sum())} are NULL "
                f"and {int(persons.duplicated().sum())} are there again"
            )
        numbers = {name: _numbers(frame[name], name, self._subject) for name in CUSTOMER_COLUMNS}
        vector(numbers["order_margin"], "order_margin", self._subject, highest=1)
        for name, horizon in zip(_REMAINING, HORIZONS, strict=True):
            vector(numbers[name], name, self._subject, lowest=0, highest=horizon * DAYS_PER_MONTH)
        for name in _MARGINS:
            vector(numbers[name], name, self._subject)
        return frame.assign(**numbers).sort_values("person_id", ignore_index=True)


@dataclass(frozen=True)
class _Future:
    """Expected orders of active customers. They depend only on frequency and age, so each pair is computed once.

    frequency, age: distinct pairs (k,); remaining: days to each horizon (k, 3), a function of age; at: the pair of each
    customer (n,).
    """

    frequency: "NDArray[np.float64]"
    age: "NDArray[np.float64]"
    remaining: "NDArray[np.float64]"
    at: "NDArray[np.intp]"

    @classmethod
    def of(cls, customers: "pd.DataFrame") -> "_Future":
        columns = customers[["frequency", "age_days", *_REMAINING]].to_numpy(dtype=np.float64)
        distinct, at = np.unique(columns, axis=0, return_inverse=True)
        return cls(distinct[:, 0].copy(), distinct[:, 1].copy(), distinct[:, 2:], at)

    def orders_within(self, model: BetaGeoNBD, days: float) -> "NDArray[np.float64]":
        """Return the expected orders of each customer, if active, within the given days: (n,)."""
        return model.expected_purchases_while_alive(days, self.frequency, self.age)[self.at]

    def discounted_orders(self, model: BetaGeoNBD, monthly_discount_rate: float) -> "NDArray[np.float64]":
        """Return the same to each horizon, discounted by month from its end; the last may be partial: (n, 3)."""
        ends = np.ceil(self.remaining / DAYS_PER_MONTH)
        running = before = np.zeros(len(self.age))
        total = np.zeros_like(self.remaining)
        for month in range(1, int(ends.max(initial=0)) + 1):
            factor = (1 + monthly_discount_rate) ** -month
            for column in range(len(HORIZONS)):
                last = ends[:, column] == month
                if last.any():
                    until = model.expected_purchases_while_alive(
                        self.remaining[last, column], self.frequency[last], self.age[last]
                    )
                    total[last, column] = running[last] + (until - before[last]) * factor
            until = model.expected_purchases_while_alive(month * DAYS_PER_MONTH, self.frequency, self.age)
            running, before = running + (until - before) * factor, until
        return total[self.at]


class SubscriptionLifetimeValue(BaseEstimator):  # type: ignore[misc]
    """Value of subscribers: survival by the shifted beta-geometric model of plan and channel, times the current margin.

        V_h = observed margin_h + monthly margin · Σ_k S(t + k) / S(t) / (1 + d)^k

    for a subscriber with a tenure of t months; k runs over the months from now with a payment due within h months after the first
    one. The value of a former subscriber is the observed margin.

    monthly_discount_rate: d, at least 0.
    minimum_lost: minimum number of lost customers for a separate model of a segment.

    After `fit`: `models_` (segment → model) and `methods_` (segment → method): `sbg` for the shifted beta-geometric model;
    `geometric` if churn does not fall with tenure, so that identical customers maximise the likelihood; with the suffix `_pooled`
    if the segment alone could not be fitted (too few lost customers, too few periods, no maximum) and all segments were pooled.
    """

    def __init__(self, *, monthly_discount_rate: float = 0.01, minimum_lost: int = 20) -> None:
        self.monthly_discount_rate = monthly_discount_rate
        self.minimum_lost = minimum_lost

    def fit(self, tenures: "pd.DataFrame") -> Self:
        """Fit a model of each segment.

        tenures: one row per plan, channel and period of tenure, in any order: plan and channel (text, not NULL), and period
        (months), lost, alive and entered as for `ShiftedBetaGeometric.fit`.

        Raises ClvError for an invalid frame; DegenerateDataError and ConvergenceError if a segment needs the pooled model and
        that cannot be fitted either.
        """
        require_number(self.monthly_discount_rate, "monthly_discount_rate", _SUBSCRIPTIONS, lowest=0)
        rows = _with_segments(tenures, TENURE_COLUMNS)
        for name in TENURE_COLUMNS:
            vector(rows[name].to_numpy(), name, _SUBSCRIPTIONS, whole=True, lowest=0)
        self.models_: dict[tuple[str, str], ShiftedBetaGeometric | ShiftedGeometric] = {}
        self.methods_: dict[tuple[str, str], str] = {}
        self._pool: tuple[str, ShiftedBetaGeometric | ShiftedGeometric] | None = None
        self._tenures = rows
        for (plan, channel), part in rows.groupby(list(SEGMENT), sort=True):
            key = str(plan), str(channel)
            try:
                method, model = self._fit_survival(part, f"plan {key[0]}, channel {key[1]}")
            except (DegenerateDataError, ConvergenceError):
                method, model = self._pooled()
            self.models_[key], self.methods_[key] = model, method
        return self

    def predict(self, accounts: "pd.DataFrame") -> "NDArray[np.float64]":
        """Return the expected discounted margin of each account to each horizon, in the order of rows: shape (n, 3).

        accounts: plan, channel; tenure_months (t); age_months (months since the first payment, from 0);
        next_payment_month (month of the next payment, counted alike); monthly_margin (money, at least 0); margin_12m, margin_24m
        and margin_36m. A former account has no plan, and NaN in tenure and next payment. Segments unknown to `fit` use the pooled
        model.

        Raises ClvError for an invalid frame; DegenerateDataError and ConvergenceError if the pooled model is needed and cannot be
        fitted.
        """
        found = self._parts(accounts)
        expected = np.zeros((len(accounts), len(HORIZONS)))
        for rows, model, payments in found:
            expected[rows] = payments(model)
        return expected

    def sums(self, accounts: "pd.DataFrame", groups: csr_matrix) -> "tuple[NDArray[np.float64], NDArray[np.float64]]":
        """Sum the expected part of the values over groups of accounts, and return the variance of each sum.

        accounts: as for `predict`. groups: (m, n), 1 if the account belongs to the group. Both results: (m, 3).
        """
        shape = (groups.shape[0], len(HORIZONS))
        total, variance = np.zeros(shape), np.zeros(shape)
        for rows, model, payments in self._parts(accounts):
            members = groups[:, rows]

            def of_survival(
                model: ShiftedBetaGeometric | ShiftedGeometric, members: csr_matrix = members, payments: _Payments = payments
            ) -> "NDArray[np.float64]":
                return np.ravel(members @ payments(model))

            total += of_survival(model).reshape(shape)
            # Treated as independent fits, although the pool also contains the customers of segments with their own model.
            variance += delta_variance(model, of_survival).reshape(shape)
        return total, variance

    def _parts(
        self, accounts: "pd.DataFrame"
    ) -> "list[tuple[NDArray[np.intp], ShiftedBetaGeometric | ShiftedGeometric, _Payments]]":
        """Return the rows of paying accounts by model."""
        check_is_fitted(self, "models_")
        frame = _with_segments(accounts, ACCOUNT_COLUMNS, is_paying=accounts["plan"].notna())
        paying = np.flatnonzero(accounts["plan"].notna().to_numpy())
        frame = frame.iloc[paying].reset_index(drop=True)
        for name in ("tenure_months", "age_months", "next_payment_month"):
            vector(frame[name].to_numpy(), name, _SUBSCRIPTIONS, whole=True, lowest=0)
        vector(frame["monthly_margin"].to_numpy(), "monthly_margin", _SUBSCRIPTIONS, lowest=0)
        by_model: dict[int, tuple[ShiftedBetaGeometric | ShiftedGeometric, list[NDArray[np.intp]]]] = {}
        for (plan, channel), part in frame.groupby(list(SEGMENT), sort=True):
            key = str(plan), str(channel)
            model = self.models_[key] if key in self.models_ else self._pooled()[1]
            by_model.setdefault(id(model), (model, []))[1].append(part.index.to_numpy())
        parts = []
        for model, found in by_model.values():
            rows = np.sort(np.concatenate(found))
            parts.append((paying[rows], model, self._payments(frame.iloc[rows])))
        return parts

    def _payments(self, accounts: "pd.DataFrame") -> "_Payments":
        """Return a function from a model to the expected margins of these accounts: (n, 3)."""
        tenure, age, following = (
            accounts[name].to_numpy().astype(np.int64) for name in ("tenure_months", "age_months", "next_payment_month")
        )
        margin = accounts["monthly_margin"].to_numpy()
        tenures, at = np.unique(tenure, return_inverse=True)
        months = np.arange(1, max(HORIZONS))
        weights = (1.0 + self.monthly_discount_rate) ** -months
        # Payments still to come: the first and the last month from now; none where the last lies before the first.
        first = np.clip(following - age, 1, len(months) + 1)
        last = np.array([np.maximum(horizon - 1 - age, first - 1) for horizon in HORIZONS])

        def payments(model: ShiftedBetaGeometric | ShiftedGeometric) -> "NDArray[np.float64]":
            later = model.survival(np.ravel(tenures[:, None] + months)).reshape(len(tenures), len(months))
            ratio = later / model.survival(tenures)[:, None]
            sums = np.concatenate([np.zeros((len(tenures), 1)), np.cumsum(ratio * weights, axis=1)], axis=1)
            expected: NDArray[np.float64] = (margin * (sums[at, last] - sums[at, first - 1])).T
            return expected

        return payments

    def _pooled(self) -> tuple[str, ShiftedBetaGeometric | ShiftedGeometric]:
        if self._pool is None:
            method, model = self._fit_survival(self._tenures, "all segments")
            self._pool = f"{method}_pooled", model
        return self._pool

    def _fit_survival(self, rows: "pd.DataFrame", label: str) -> tuple[str, ShiftedBetaGeometric | ShiftedGeometric]:
        counts = [rows[name].to_numpy() for name in TENURE_COLUMNS]
        try:
            return SUBSCRIPTION_METHOD, ShiftedBetaGeometric(minimum_lost=self.minimum_lost, label=label).fit(*counts)
        except ConstantChurnError:
            return "geometric", ShiftedGeometric(minimum_lost=self.minimum_lost, label=label).fit(*counts)


_SUBSCRIPTIONS = "subscriptions"
_Payments = Callable[[ShiftedBetaGeometric | ShiftedGeometric], "NDArray[np.float64]"]


def _with_segments(
    frame: "pd.DataFrame", columns: Sequence[str], *, is_paying: "pd.Series[bool] | None" = None
) -> "pd.DataFrame":
    """Return the frame's segments and numbers. Raises ClvError if a segment is NULL."""
    require_columns(frame, (*SEGMENT, *columns), _SUBSCRIPTIONS)
    for name in SEGMENT:
        empty = frame[name].isna() if is_paying is None else frame[name].isna() & is_paying
        if empty.any():
            raise ClvError(f"{_SUBSCRIPTIONS}: {name} must be filled; {int(empty.sum())} of {len(frame)} are NULL")
    return frame[list(SEGMENT)].assign(**{name: _numbers(frame[name], name, _SUBSCRIPTIONS) for name in columns})


def money_columns(*parts: str) -> list[str]:
    """Names of the predicted values to each horizon, with suffixes such as `_p10`."""
    return [f"predicted_ltv_{horizon}m{part}" for horizon in HORIZONS for part in parts or ("",)]


def _numbers(column: "pd.Series[float]", name: str, subject: str) -> "NDArray[np.float64]":
    """Read a column of integers, floats or decimals, with NULL as NaN."""
    try:
        return pd.to_numeric(column.astype("object"), errors="raise").to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise ClvError(f"{subject}: column {name!r} must hold numbers ({error})") from None
