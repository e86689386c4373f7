"""Tenure of subscribers: survival by period, from counts of lost and remaining customers.

Belongs here: the shifted beta-geometric model and its limit, identical customers. Does not belong here: money (`lifetime_value`).

Both models take the same counts. A period is the time between two renewals, a month or a year. Customers are lost in period 1,
2, … or are active when their observation ends (censored).
"""

from typing import TYPE_CHECKING, Self

import numpy as np
from scipy.special import betaln, hyp2f1

from ml.clv.inputs import (
    ClvError,
    ConstantChurnError,
    ConvergenceError,
    DegenerateDataError,
    require_number,
    same_length,
    vector,
)
from ml.clv.likelihood import LikelihoodEstimator, Maximum, maximise

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


class ShiftedBetaGeometric(LikelihoodEstimator):
    """Each customer has its own probability to leave at a renewal; across customers it is beta(α, β) distributed.

        P(lost in period t) = B(α + 1, β + t − 1) / B(α, β)      S(t) = B(α, β + t) / B(α, β)
        r(t) = S(t) / S(t − 1) = (β + t − 1) / (α + β + t − 1)

    Retention rises with tenure because customers likely to leave do so early, not because customers change.

    minimum_lost: minimum number of lost customers for a fit, 20 by default; with fewer both parameters are noise.
    label: name of the fitted segment, for messages.

    After `fit`: `parameters_` alpha and beta, `covariance_`, `log_likelihood_`, `customer_count_`, `lost_count_`.

    References: P. Fader and B. Hardie (2007), How to project customer retention, Journal of Interactive Marketing 21(1), for
    the model; (2010), Customer-base valuation in a contractual setting: the perils of ignoring heterogeneity, Marketing Science
    29(1), for discounted lifetimes.
    """

    parameter_names = ("alpha", "beta")

    def __init__(self, *, minimum_lost: int = 20, label: str = "all customers") -> None:
        self.minimum_lost = minimum_lost
        self.label = label

    def fit(self, period: "ArrayLike", lost: "ArrayLike", alive: "ArrayLike", entered: "ArrayLike | None" = None) -> Self:
        """Fit on counts by period, all of shape (n,), in any order; rows of different cohorts may be concatenated.

        period: periods of tenure, whole numbers from 0. Period 0 counts customers before their first renewal.
        lost: customers who left at the renewal that ends the period.
        alive: customers censored after the period, mostly in a cohort's last row.
        entered: customers whose observation began after this many periods (delayed entry); none by default. Customers who had
        left by then are unknown, so the earlier renewals of those who entered do not count as kept.

        A cohort of 1,000 that lost 369 and 163 in its first two periods is (1, 369, 0), (2, 163, 468). The likelihood is a
        product of renewals, Π r(t)^kept(t) · (1 − r(t))^lost(t), so only the sums by period count.

        Raises ClvError for invalid counts; DegenerateDataError with fewer than `minimum_lost` lost or with renewals of a single
        period; ConstantChurnError if churn does not fall with tenure, so that α and β grow without limit; ConvergenceError if no
        maximum is found, for example with churn in a single period.
        """
        at_risk, lost_by_period = _renewals(self, period, lost, alive, entered)
        kept = at_risk - lost_by_period
        if (at_risk > 0).sum() < 2 or kept.sum() == 0:
            raise DegenerateDataError(
                f"{self.subject}: renewals of one period only tell nothing of how churn changes with tenure"
            )
        before = np.arange(len(at_risk))

        def log_likelihood(point: "NDArray[np.float64]") -> "tuple[float, NDArray[np.float64]]":
            alpha, beta = np.exp(point)
            both = alpha + beta + before
            value = np.sum(lost_by_period * np.log(alpha / both) + kept * np.log((beta + before) / both))
            by_both = np.sum(at_risk / both)
            slope = (lost_by_period.sum() / alpha - by_both, np.sum(kept / (beta + before)) - by_both)
            return float(value), np.array(slope) * (alpha, beta)

        rate = lost_by_period.sum() / at_risk.sum()
        starts = [(rate * size, (1 - rate) * size) for size in (0.5, 3.0, 20.0)]
        try:
            maximum = maximise(
                log_likelihood, starts=starts, names=self.parameter_names, size=float(at_risk.sum()), subject=self.subject
            )
        except ConvergenceError:
            if _score_of_difference(at_risk, lost_by_period) > 0:
                raise
            raise ConstantChurnError(
                f"{self.subject}: churn does not fall with tenure (in all {rate:.2%} of {at_risk.sum():.0f} renewals), "
                "so the likelihood is greatest where all customers are alike"
            ) from None
        self._keep(maximum, (1, 1))
        return self

    def survival(self, periods: "ArrayLike") -> "NDArray[np.float64]":
        """Return S(t): share of customers active after t periods. periods: whole numbers from 0. Shape of `periods`."""
        alpha, beta = self._fitted()
        survival: NDArray[np.float64] = np.exp(betaln(alpha, beta + _tenure(self, periods, 0)) - betaln(alpha, beta))
        return survival

    def retention(self, periods: "ArrayLike") -> "NDArray[np.float64]":
        """Return r(t): share of customers active after t − 1 periods who renew at the end of period t ≥ 1; shape of `periods`."""
        alpha, beta = self._fitted()
        before = _tenure(self, periods, 1) - 1
        return (beta + before) / (alpha + beta + before)

    def discounted_lifetime(self, discount_rate: float, *, horizon: int | None = None) -> float:
        """Return the expected discounted number of payments of a new customer: Σ S(t) / (1 + d)^t, t = 0 … horizon − 1.

        The first payment, on the first day (t = 0), is certain. discount_rate: per period, at least 0. horizon: periods, or None
        for all, which requires a rate above 0. Multiply by the margin of a payment for the expected lifetime value.
        """
        return self._discounted(discount_rate, horizon, 0)

    def discounted_residual_lifetime(self, discount_rate: float, *, renewals: int, horizon: int | None = None) -> float:
        """Return the same for a customer before renewal number `renewals` + 1 (DERL).

        Σ S(n + t) / S(n) / (1 + d)^(t − 1), t = 1 … horizon, with n = renewals: the payment at stake is not discounted.
        """
        require_number(renewals, "renewals", self.subject, lowest=0, whole=True)
        alpha, beta = self._fitted()
        # Those who renewed n times are a population of beta(α, β + n); of them the share r(n + 1) makes the next payment.
        stayed = self.at(alpha=alpha, beta=beta + renewals + 1)
        return float(self.retention([renewals + 1])[0]) * stayed._discounted(discount_rate, horizon, 0)  # noqa: SLF001 (of its own class)

    def _discounted(self, discount_rate: float, horizon: int | None, first: int) -> float:
        rate = require_number(discount_rate, "discount_rate", self.subject, lowest=0)
        alpha, beta = self._fitted()
        if horizon is not None:
            require_number(horizon, "horizon", self.subject, lowest=1, whole=True)
            times = np.arange(first, first + horizon)
            return float(np.sum(self.survival(times) * np.exp(-times * np.log1p(rate))))
        total = float(hyp2f1(1, beta, alpha + beta, 1 / (1 + rate))) if rate > 0 else np.inf
        if not np.isfinite(total):
            raise ClvError(f"{self.subject}: a lifetime without horizon needs a discount_rate clearly above 0, not {rate!r}")
        return total


class ShiftedGeometric(LikelihoodEstimator):
    """All customers leave with the same probability θ at each renewal: S(t) = (1 − θ)^t.

    The limit of the shifted beta-geometric model if churn does not fall with tenure: α, β → ∞ with α / (α + β) = θ. Its maximum
    is θ = lost / renewals; the stored parameter is the odds θ / (1 − θ), whose logarithm has the variance 1 / (renewals · θ (1
    − θ)).

    Parameters, attributes and errors are those of `ShiftedBetaGeometric`.
    """

    parameter_names = ("odds",)

    def __init__(self, *, minimum_lost: int = 20, label: str = "all customers") -> None:
        self.minimum_lost = minimum_lost
        self.label = label

    def fit(self, period: "ArrayLike", lost: "ArrayLike", alive: "ArrayLike", entered: "ArrayLike | None" = None) -> Self:
        """Fit on the rows that `ShiftedBetaGeometric.fit` takes. Raises ClvError, DegenerateDataError."""
        at_risk, lost_by_period = _renewals(self, period, lost, alive, entered)
        renewals, left = float(at_risk.sum()), float(lost_by_period.sum())
        if left == renewals:
            raise DegenerateDataError(f"{self.subject}: every renewal was refused")
        rate = left / renewals
        value = left * np.log(rate) + (renewals - left) * np.log1p(-rate)
        self._keep(
            Maximum(np.log([rate / (1 - rate)]), np.array([[1 / (renewals * rate * (1 - rate))]]), float(value)), scales=(1,)
        )
        return self

    def survival(self, periods: "ArrayLike") -> "NDArray[np.float64]":
        """Return S(t): share of customers active after t periods. periods: whole numbers from 0. Shape of `periods`."""
        (odds,) = self._fitted()
        survival: NDArray[np.float64] = np.exp(-_tenure(self, periods, 0) * np.log1p(odds))
        return survival


def _renewals(
    model: "ShiftedBetaGeometric | ShiftedGeometric",
    period: "ArrayLike",
    lost: "ArrayLike",
    alive: "ArrayLike",
    entered: "ArrayLike | None",
) -> "tuple[NDArray[np.float64], NDArray[np.float64]]":
    """Return the customers who reached the renewal of period 1, 2, …, and how many of them left, each of shape (periods,).

    Sets `customer_count_` and `lost_count_`.
    """
    minimum = require_number(model.minimum_lost, "minimum_lost", model.subject, lowest=1, whole=True)
    # More than 10,000 periods means a wrong column, and would only fill the memory.
    periods = vector(period, "period", model.subject, whole=True, lowest=0, highest=10_000)
    left = vector(lost, "lost", model.subject, whole=True, lowest=0)
    stayed = vector(alive, "alive", model.subject, whole=True, lowest=0)
    late = np.zeros_like(periods) if entered is None else vector(entered, "entered", model.subject, whole=True, lowest=0)
    same_length(model.subject, period=periods, lost=left, alive=stayed, **({} if entered is None else {"entered": late}))
    if left[periods == 0].any():
        raise ClvError(f"{model.subject}: customers are lost in period 0, but the first renewal ends period 1")
    model.customer_count_ = int(left.sum() + stayed.sum())
    model.lost_count_ = int(left.sum())
    if model.lost_count_ < minimum:
        raise DegenerateDataError(
            f"{model.subject}: {model.lost_count_ or 'none'} of {model.customer_count_} customers left, "
            f"at least {minimum:g} are needed"
        )
    index = periods.astype(np.int64)
    lost_by_period: NDArray[np.float64] = np.bincount(index, weights=left)[1:].astype(np.float64)
    leaving = lost_by_period + np.bincount(index, weights=stayed)[1:] - np.bincount(index, weights=late)[1:]
    at_risk: NDArray[np.float64] = np.cumsum(leaving[::-1])[::-1]
    if (at_risk < lost_by_period).any():
        raise ClvError(f"{model.subject}: more customers entered late than are lost or alive afterwards")
    return at_risk, lost_by_period


def _score_of_difference(at_risk: "NDArray[np.float64]", lost: "NDArray[np.float64]") -> float:
    """Return the slope of the log-likelihood by 1 / (α + β) at 0 (identical customers); positive if customers differ."""
    rate = lost.sum() / at_risk.sum()
    return float(np.sum(np.arange(len(lost)) * ((at_risk - lost) * rate / (1 - rate) - lost)))


def _tenure(model: LikelihoodEstimator, periods: "ArrayLike", first: int) -> "NDArray[np.float64]":
    return vector(periods, "periods", model.subject, whole=True, lowest=first)
