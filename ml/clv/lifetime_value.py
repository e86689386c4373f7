"""From counts to money: what customers and segments are expected to bring in, discounted by month.

Belongs here: the frames that callers bring and take, the discounting, the choice between a segment's own model and the pooled
one, and the uncertainty of a segment's mean. Does not belong here: the models' likelihoods, and SQL.

Rates and lifetimes. A monthly discount rate d makes money of month m worth 1 / (1 + d)^m today. Subscribers pay at the start of
each month, the first time today (m = 0); orders of a month count at its end (m = 1 for the first). Horizons: 12, 24, 36 months.

Intervals. `_p10` and `_p90` bound the middle 80 % of what the *mean* of a segment's predictions is believed to be, by the
asymptotic normal distribution of the estimates (delta method, nothing is drawn). They hold the uncertainty of the parameters.
They do not hold: how single customers scatter around the mean, or the luck of finitely many of them; margins and discount rates,
which are taken as known; dependence between margin and tenure or order value and rate; a model or a market that changes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import pandas as pd
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
from ml.clv.likelihood import Z90, delta_variance
from ml.clv.shifted_beta_geometric import ShiftedBetaGeometric, ShiftedGeometric

if TYPE_CHECKING:
    from numpy.typing import NDArray

HORIZONS = (12, 24, 36)
DAYS_PER_MONTH = 365.25 / 12
METHOD = "bg_nbd_gamma_gamma"
CUSTOMER_COLUMNS = ("person_id", "frequency", "recency_days", "age_days", "mean_repeat_value", "order_margin")
PERIOD_COLUMNS = ("period", "lost", "alive", "monthly_margin")


class CustomerLifetimeValue(BaseEstimator):  # type: ignore[misc]
    """Future margin of shop customers: BG/NBD for how often, Gamma-Gamma for how much, independent of each other.

        CLV_h = margin · E[M | x, m] · Σ_m (E[Y(m)] − E[Y(m − 1)]) / (1 + d)^m,  m = 1 … h months of 365.25 / 12 days

    It counts from the end of observation on: what a customer has brought in already is not part of it.

    monthly_discount_rate: d, at least 0.
    label: who the customers are, for messages.

    After `fit`: `purchases_` (BetaGeoNBD, in days) and `values_` (GammaGamma).

    Reference: P. Fader, B. Hardie and K. L. Lee (2005), RFM and CLV: using iso-value curves for customer base analysis, Journal
    of Marketing Research 42(4), for the product of discounted transactions and expected value.
    """

    def __init__(self, *, monthly_discount_rate: float = 0.01, label: str = "all customers") -> None:
        self.monthly_discount_rate = monthly_discount_rate
        self.label = label

    def fit(self, frame: "pd.DataFrame") -> Self:
        """Fit both models on one row per customer, in any order.

        frame: person_id (unique, not NULL); frequency (days with an order after the first such day); recency_days (days from the
        first order to the last); age_days (days from the first order to the end of observation); mean_repeat_value (money per
        repeat day; NaN without a repeat); order_margin (margin as a share of order value, at most 1). The order of rows changes
        no byte of any result.

        Raises ClvError for a frame that is none of customers, DegenerateDataError and ConvergenceError as the models do.
        """
        customers = self._checked(frame)
        recency, age = customers["recency_days"].to_numpy(), customers["age_days"].to_numpy()
        self.purchases_ = BetaGeoNBD(label=self.label).fit(customers["frequency"].to_numpy(), recency, age)
        self.values_ = GammaGamma(label=self.label).fit(
            customers["frequency"].to_numpy(), customers["mean_repeat_value"].to_numpy()
        )
        return self

    def predict(self, frame: "pd.DataFrame") -> "pd.DataFrame":
        """Predict for each customer of a frame as `fit` takes it, one row each, in the order of person_id.

        Returns person_id, p_alive in [0, 1], expected_orders_90d and expected_orders_365d (days with an order),
        expected_order_value (money), predicted_ltv_12m, predicted_ltv_24m and predicted_ltv_36m (money of today), and method
        (`bg_nbd_gamma_gamma`).
        """
        check_is_fitted(self, "purchases_")
        customers = self._checked(frame)
        histories, at = _histories(customers)
        orders = self._orders(self.purchases_, histories)[at]
        value = self._value(customers, self.values_)
        predicted = pd.DataFrame(
            {
                "person_id": customers["person_id"],
                "p_alive": self.purchases_.p_alive(*histories)[at],
                "expected_orders_90d": self.purchases_.conditional_expected_purchases(90, *histories)[at],
                "expected_orders_365d": self.purchases_.conditional_expected_purchases(365, *histories)[at],
                "expected_order_value": value,
            }
        )
        money = orders * (value * customers["order_margin"].to_numpy())[:, None]
        for column, horizon in enumerate(HORIZONS):
            predicted[f"predicted_ltv_{horizon}m"] = money[:, column]
        return predicted.assign(method=METHOD)

    def predict_mean(self, frame: "pd.DataFrame", segments: Sequence[str]) -> "pd.DataFrame":
        """Predict the mean of each segment, with p10 and p90 (see the module), in the order of the segments' keys.

        frame: as `fit` takes it, and the columns named in `segments`, of which NULL is a value too. The models are those of all
        customers: segments differ by what their customers did.

        Returns the segments' columns, customer_count, method, and for 12, 24 and 36 months predicted_ltv_12m,
        predicted_ltv_12m_p10 and predicted_ltv_12m_p90 (money of today).
        """
        check_is_fitted(self, "purchases_")
        _segment_columns(frame, segments, CUSTOMER_COLUMNS, self._subject)
        customers = self._checked(frame)
        histories, at = _histories(customers)
        groups = customers.groupby(list(segments), sort=True, dropna=False, observed=True)
        code, margin = groups.ngroup().to_numpy(), customers["order_margin"].to_numpy()
        result = groups.size().rename("customer_count").reset_index()
        count = result["customer_count"].to_numpy()

        def means(purchases: BetaGeoNBD, values: GammaGamma) -> "NDArray[np.float64]":
            orders = discounted if purchases is self.purchases_ else self._orders(purchases, histories)
            money = (self._value(customers, values) * margin)[:, None] * orders[at]
            return np.concatenate([np.bincount(code, weights=column, minlength=len(count)) / count for column in money.T])

        discounted = self._orders(self.purchases_, histories)
        mean = means(self.purchases_, self.values_)
        # The two models were fitted apart and share no parameter: their contributions to the variance add.
        variance = delta_variance(self.purchases_, lambda model: means(model, self.values_))
        variance += delta_variance(self.values_, lambda model: means(self.purchases_, model))
        reach = Z90 * np.sqrt(variance)
        for name, figures in (("", mean), ("_p10", mean - reach), ("_p90", mean + reach)):
            for horizon, column in zip(HORIZONS, figures.reshape(len(HORIZONS), -1), strict=True):
                result[f"predicted_ltv_{horizon}m{name}"] = column
        return result.assign(method=METHOD)[[*segments, "customer_count", "method", *_money_columns()]]

    @property
    def _subject(self) -> str:
        return f"{type(self).__name__} ({self.label})"

    def _orders(
        self, purchases: BetaGeoNBD, histories: "tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]"
    ) -> "NDArray[np.float64]":
        return _discounted_orders(purchases, histories, self.monthly_discount_rate)

    def _value(self, customers: "pd.DataFrame", values: GammaGamma) -> "NDArray[np.float64]":
        return values.conditional_expected_value(customers["frequency"].to_numpy(), customers["mean_repeat_value"].to_numpy())

    def _checked(self, frame: "pd.DataFrame") -> "pd.DataFrame":
        """Give the frame with numbers in the columns of numbers, in the order of person_id."""
        require_number(self.monthly_discount_rate, "monthly_discount_rate", self._subject, lowest=0)
        require_columns(frame, CUSTOMER_COLUMNS, self._subject)
        persons = frame["person_id"]
        if persons.isna().any() or persons.duplicated().any():
            raise ClvError(
                f"{self._subject}: person_id must name each customer once; {int(persons.isna().sum())} are NULL "
                f"and {int(persons.duplicated().sum())} are there again"
            )
        numbers = {name: _numbers(frame[name], name, self._subject) for name in CUSTOMER_COLUMNS[1:]}
        vector(numbers["order_margin"], "order_margin", self._subject, highest=1)
        return frame.assign(**numbers).sort_values("person_id", ignore_index=True)


def predict_customers(
    frame: "pd.DataFrame", *, monthly_discount_rate: float = 0.01, label: str = "all customers"
) -> "pd.DataFrame":
    """Fit `CustomerLifetimeValue` on the customers and predict for each of them; see its `fit` and `predict`.

    The models scale time and money away themselves: days and any currency do.
    """
    model = CustomerLifetimeValue(monthly_discount_rate=monthly_discount_rate, label=label)
    return model.fit(frame).predict(frame)


def predict_subscriptions(
    frame: "pd.DataFrame",
    *,
    segments: Sequence[str],
    monthly_discount_rate: float = 0.01,
    months_per_period: int = 1,
    minimum_lost: int = 20,
) -> "pd.DataFrame":
    """Predict survival and lifetime value of a new subscriber of each segment, in the order of the segments' keys.

    frame: one row per segment, cohort and period of tenure, in any order: the columns named in `segments` (NULL is a value too),
    period, lost and alive as `ShiftedBetaGeometric.fit` takes them, and monthly_margin, the mean margin that a customer of the
    row pays in a month (money; a row without customers may have NaN). A segment's margin is the mean over its customers. Other
    columns, such as the cohort, are not looked at: cohorts of a segment are fitted together.
    monthly_discount_rate: d, at least 0. months_per_period: months from one renewal to the next, 1, or 12 for yearly contracts.
    minimum_lost: fewest lost customers for a model of the segment's own.

    Returns the segments' columns, customer_count, lost_count, method, monthly_margin, survival_12m, _24m and _36m (shares), and
    for 12, 24 and 36 months predicted_ltv_12m, predicted_ltv_12m_p10, predicted_ltv_12m_p90 (money of today; see the module).

    method: `sbg` where the shifted beta-geometric model was fitted on the segment; `geometric` where its churn does not fall with
    tenure, so that the likelihood is greatest for customers who are all alike; with `_pooled` behind where the segment alone
    could not be fitted (too few lost customers, too few periods, no maximum) and all segments' counts were taken together.

    Raises ClvError for a frame that is none of periods; DegenerateDataError and ConvergenceError where a segment needs the pool
    and that cannot be fitted either.
    """
    rows = []
    for segment in _fitted_segments(frame, segments, monthly_discount_rate, months_per_period, minimum_lost):
        row: dict[str, object] = {
            **dict(zip(segments, segment.key, strict=True)),
            "customer_count": segment.customer_count,
            "lost_count": segment.lost_count,
            "method": segment.method,
            "monthly_margin": segment.margin,
        }
        survival, value, low, high = segment.curves()
        for horizon in HORIZONS:
            row[f"survival_{horizon}m"] = survival[horizon]
            row[f"predicted_ltv_{horizon}m"] = value[horizon]
            row[f"predicted_ltv_{horizon}m_p10"] = low[horizon]
            row[f"predicted_ltv_{horizon}m_p90"] = high[horizon]
        rows.append(row)
    counts = ["customer_count", "lost_count", "method", "monthly_margin"]
    return pd.DataFrame(rows, columns=[*segments, *counts, *(f"survival_{h}m" for h in HORIZONS), *_money_columns()])


def project_subscriptions(
    frame: "pd.DataFrame",
    *,
    segments: Sequence[str],
    monthly_discount_rate: float = 0.01,
    months_per_period: int = 1,
    minimum_lost: int = 20,
) -> "pd.DataFrame":
    """Give the curves behind `predict_subscriptions`, which see: one row per segment and month 0 … 36.

    Returns the segments' columns, month, survival (share alive after so many months), cumulative_margin with _p10 and _p90
    (expected discounted margin of the first `month` payments, per customer who began; 0 in month 0), method.
    """
    tables = []
    for segment in _fitted_segments(frame, segments, monthly_discount_rate, months_per_period, minimum_lost):
        survival, value, low, high = segment.curves()
        table = pd.DataFrame({"month": np.arange(len(survival)), "survival": survival, "cumulative_margin": value})
        table = table.assign(cumulative_margin_p10=low, cumulative_margin_p90=high, method=segment.method)
        keys = pd.DataFrame([segment.key] * len(table), columns=list(segments))
        tables.append(pd.concat([keys, table], axis=1))
    if not tables:
        curves = ("cumulative_margin", "cumulative_margin_p10", "cumulative_margin_p90")
        return pd.DataFrame(columns=[*segments, "month", "survival", *curves, "method"])
    return pd.concat(tables, ignore_index=True)


@dataclass(frozen=True)
class _Segment:
    """A segment with the model that speaks for it."""

    key: tuple[object, ...]
    customer_count: int
    lost_count: int
    margin: float
    method: str
    model: ShiftedBetaGeometric | ShiftedGeometric
    discount_rate: float
    months_per_period: int

    def curves(self) -> "tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]":
        """Survival, cumulative discounted margin, its p10 and its p90 by month 0 … 36, each of shape (37,)."""
        months = np.arange(max(HORIZONS) + 1)
        weights = (1 + self.discount_rate) ** -months[:-1].astype(np.float64)

        def payments(model: ShiftedBetaGeometric | ShiftedGeometric) -> "NDArray[np.float64]":
            paying = model.survival(months[:-1] // self.months_per_period)
            return np.concatenate([[0.0], np.cumsum(paying * weights)])

        expected = payments(self.model)
        reach = Z90 * np.sqrt(delta_variance(self.model, payments))
        # Whatever the parameters are, nobody pays less than the first period or more than all of them.
        least = np.concatenate([[0.0], np.cumsum(weights * (months[:-1] < self.months_per_period))])
        most = np.concatenate([[0.0], np.cumsum(weights)])
        bounds = np.array([np.maximum(expected - reach, least), np.minimum(expected + reach, most)]) * self.margin
        survival = self.model.survival(months // self.months_per_period)
        return survival, expected * self.margin, bounds.min(axis=0), bounds.max(axis=0)


def _fitted_segments(
    frame: "pd.DataFrame", segments: Sequence[str], discount_rate: float, months_per_period: int, minimum_lost: int
) -> Iterator[_Segment]:
    subject = "subscriptions"
    require_number(discount_rate, "monthly_discount_rate", subject, lowest=0)
    require_number(months_per_period, "months_per_period", subject, lowest=1, whole=True)
    require_columns(frame, PERIOD_COLUMNS, subject)
    _segment_columns(frame, segments, PERIOD_COLUMNS, subject)
    numbers = {name: _numbers(frame[name], name, subject) for name in PERIOD_COLUMNS}
    for name in ("period", "lost", "alive"):
        vector(numbers[name], name, subject, whole=True, lowest=0)
    rows = frame[list(segments)].assign(**numbers)
    pool: tuple[str, ShiftedBetaGeometric | ShiftedGeometric] | None = None
    for key, part in rows.groupby(list(segments), sort=True, dropna=False, observed=True):
        name = ", ".join(f"{column} {value}" for column, value in zip(segments, key, strict=True))
        margin = _margin(part, f"{subject} ({name})")
        try:
            method, model = _fit_survival(part, minimum_lost, name)
        except (DegenerateDataError, ConvergenceError):
            pool = pool or _fit_survival(rows, minimum_lost, "all segments")
            method, model = f"{pool[0]}_pooled", pool[1]
        lost, alive = int(part["lost"].sum()), int(part["alive"].sum())
        yield _Segment(key, lost + alive, lost, margin, method, model, discount_rate, months_per_period)


def _fit_survival(rows: "pd.DataFrame", minimum_lost: int, label: str) -> tuple[str, ShiftedBetaGeometric | ShiftedGeometric]:
    counts = [rows[name].to_numpy() for name in ("period", "lost", "alive")]
    try:
        return "sbg", ShiftedBetaGeometric(minimum_lost=minimum_lost, label=label).fit(*counts)
    except ConstantChurnError:
        return "geometric", ShiftedGeometric(minimum_lost=minimum_lost, label=label).fit(*counts)


def _margin(rows: "pd.DataFrame", subject: str) -> float:
    """Mean of monthly_margin over the customers of the rows, each counted in the row in which its observation ends."""
    customers = (rows["lost"] + rows["alive"]).to_numpy()
    if not customers.sum():
        raise ClvError(f"{subject}: there are no customers")
    margin = vector(rows["monthly_margin"].to_numpy()[customers > 0], "monthly_margin", subject)
    # Sorted, so that the order of rows does not change the last digit.
    terms = np.sort(margin * customers[customers > 0])
    return float(terms.sum() / customers.sum())


def _histories(
    customers: "pd.DataFrame",
) -> "tuple[tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]], NDArray[np.intp]]":
    """Distinct (frequency, recency_days, age_days), and which of them each customer has."""
    columns = customers[["frequency", "recency_days", "age_days"]].to_numpy(dtype=np.float64)
    distinct, at = np.unique(columns, axis=0, return_inverse=True)
    frequency, recency, age = distinct.T.copy()
    return (frequency, recency, age), at


def _discounted_orders(
    model: BetaGeoNBD,
    histories: "tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]",
    monthly_discount_rate: float,
) -> "NDArray[np.float64]":
    """Expected orders of the months to come, each discounted from its end, summed to each horizon: shape (n, 3)."""
    total = before = np.zeros(len(histories[0]))
    at_horizon = []
    for month in range(1, max(HORIZONS) + 1):
        until = model.conditional_expected_purchases(month * DAYS_PER_MONTH, *histories)
        total = total + (until - before) / (1 + monthly_discount_rate) ** month
        before = until
        if month in HORIZONS:
            at_horizon.append(total)
    return np.column_stack(at_horizon)


def _segment_columns(frame: "pd.DataFrame", segments: Sequence[str], taken: Sequence[str], subject: str) -> None:
    if isinstance(segments, str) or not segments or len(set(segments)) < len(segments) or set(segments) & set(taken):
        raise ClvError(f"{subject}: segments must name columns other than {', '.join(taken)}, each once, not {segments!r}")
    require_columns(frame, segments, subject)


def _numbers(column: "pd.Series[float]", name: str, subject: str) -> "NDArray[np.float64]":
    """Read a column of integers, floats or decimals, with NULL as NaN."""
    try:
        return pd.to_numeric(column.astype("object"), errors="raise").to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise ClvError(f"{subject}: column {name!r} must hold numbers ({error})") from None


def _money_columns() -> list[str]:
    return [f"predicted_ltv_{horizon}m{part}" for horizon in HORIZONS for part in ("", "_p10", "_p90")]
