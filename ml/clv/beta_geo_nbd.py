"""The BG/NBD model: repeat orders of customers without a contract.

Belongs here: the model's likelihood and its expectations. Does not belong here: the value of an order (`gamma_gamma`) and money
(`lifetime_value`).
"""

from typing import TYPE_CHECKING, Self

import numpy as np
from scipy.special import digamma, expit, gammaln, hyp2f1

from ml.clv.inputs import ClvError, ConvergenceError, DegenerateDataError, require_number, same_length, vector
from ml.clv.likelihood import LikelihoodEstimator, maximise

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

# The expectation has removable singularities at a = 1 and, for customers without a repeat, at a + b = 1. A parameter nearer to
# them than this is moved beside: the error of doing so is about 1e-7 of the answer, and that of cancellation 1e-9.
SINGULAR = 1e-7


class BetaGeoNBD(LikelihoodEstimator):
    """Orders of an active customer are a Poisson process; after each order the customer may leave for good.

    Across customers the order rate λ is gamma(r, α) distributed, with mean r / α per unit of time, and the probability to leave
    after an order is beta(a, b) distributed. The data of a customer are x, the number of repeat days (days with an order after
    the first such day), t_x, the time from the first order to the last, and T, the time from the first order to the end of
    observation. Works in any unit of time; `alpha` is in the caller's unit.

    Likelihood of a customer, eq. (6) of the paper:
        B(a, b + x) / B(a, b) · Γ(r + x) α^r / Γ(r) · [ (α + T)^−(r+x) + 1{x > 0} · a / (b + x − 1) · (α + t_x)^−(r+x) ]

    For the second 39 weeks of the CDNOW data (2,357 customers) the model predicts 1,653 repeat days; there were 1,882. It misses
    customers who return after a pause, so it underestimates when trade grows.

    minimum_repeaters: minimum number of customers with a repeat for a fit.
    label: name of the fitted segment, for messages.

    After `fit`: `parameters_` r, alpha (in the caller's unit of time), a and b, `covariance_`, `log_likelihood_` (which depends
    on the unit of time), `customer_count_`, `repeater_count_`.

    Reference: P. Fader, B. Hardie and K. L. Lee (2005), "Counting your customers" the easy way: an alternative to the
    Pareto/NBD model, Marketing Science 24(2), eqs. (6), (9) and (10); p_alive after the authors' note of 2008, Computing
    P(alive) using the BG/NBD model.
    """

    parameter_names = ("r", "alpha", "a", "b")

    def __init__(self, *, minimum_repeaters: int = 30, label: str = "all customers") -> None:
        self.minimum_repeaters = minimum_repeaters
        self.label = label

    def fit(self, frequency: "ArrayLike", recency: "ArrayLike", age: "ArrayLike") -> Self:
        """Fit on x, t_x and T, one element per customer in any order, shape (n,); t_x and T in the same unit of time.

        Raises ClvError for an invalid history; DegenerateDataError with fewer than `minimum_repeaters`; ConvergenceError if the
        likelihood has no maximum within the bounds, for example when nobody ever leaves.
        """
        minimum = require_number(self.minimum_repeaters, "minimum_repeaters", self.subject, lowest=1, whole=True)
        x, t_x, t = self._customers(frequency, recency, age)
        self.customer_count_ = len(x)
        self.repeater_count_ = int((x > 0).sum())
        if self.repeater_count_ < minimum:
            raise DegenerateDataError(
                f"{self.subject}: {self.repeater_count_ or 'none'} of {len(x)} customers ordered again, "
                f"at least {minimum:g} are needed"
            )
        unit = float(t.max())
        log_likelihood = _log_likelihood(x, t_x / unit, t / unit)
        # Sorted, so that the order of customers does not move the starts by a rounding error.
        rate = float(x.sum() / np.sort(t / unit).sum())
        starts = [(r, r / rate, a, b) for r, a, b in ((0.25, 0.8, 2.5), (1.0, 1.0, 4.0), (4.0, 0.5, 0.5))]
        maximum = maximise(log_likelihood, starts=starts, names=self.parameter_names, size=len(x), subject=self.subject)
        self._keep(maximum, (1, unit, 1, 1))
        # A density of x times in (0, T]: each of them has the unit 1 / time.
        self.log_likelihood_ -= float(x.sum()) * float(np.log(unit))
        return self

    def p_alive(self, frequency: "ArrayLike", recency: "ArrayLike", age: "ArrayLike") -> "NDArray[np.float64]":
        """Return the probability that a customer is active at T, shape (n,); 1 without a repeat.

        1 / (1 + 1{x > 0} · a / (b + x − 1) · ((α + T) / (α + t_x))^(r+x))
        """
        return self._p_alive(*self._customers(frequency, recency, age))

    def expected_purchases(self, time: "ArrayLike") -> "NDArray[np.float64]":
        """Return E[X(t)]: expected repeat days of a new customer in (0, t]. time: at least 0. Shape of `time`."""
        times = vector(time, "time", self.subject, lowest=0)
        nothing = np.zeros_like(times)
        return self._while_alive(times, nothing, nothing)

    def conditional_expected_purchases(
        self, time: float, frequency: "ArrayLike", recency: "ArrayLike", age: "ArrayLike"
    ) -> "NDArray[np.float64]":
        """Return E[Y(t) | x, t_x, T]: expected repeat days in (T, T + t], shape (n,). t: a number, at least 0.

        Eq. (10) is p_alive · (a + b + x − 1) / (a − 1) · [1 − (1 − z)^(r+x) · 2F1(r + x, b + x; a + b + x − 1; z)] with
        z = t / (α + T + t). The authors' spreadsheet sums the series, whose terms grow with x before they fall. By Euler's
        transformation the product in brackets equals (1 − z)^(a−1) · 2F1(a − 1, a + b − 1 − r; a + b + x − 1; z), whose upper
        parameters do not grow with x; the printed form is used if a > r + x + 1. Overflow requires both a and x in the hundreds.

        Raises ClvError for an invalid history; ConvergenceError if the expectation overflows.
        """
        require_number(time, "time", self.subject, lowest=0)
        x, t_x, t = self._customers(frequency, recency, age)
        return self._p_alive(x, t_x, t) * self._while_alive(np.full_like(t, time), x, t)

    def expected_purchases_while_alive(
        self, time: "ArrayLike", frequency: "ArrayLike", age: "ArrayLike"
    ) -> "NDArray[np.float64]":
        """Return E[Y(t) | x, T] of customers who are active at T, regardless of t_x: shape (n,).

        time: a number or one per customer, at least 0. p_alive times this is the conditional expectation. Raises the same errors.
        """
        x = vector(frequency, "frequency", self.subject, whole=True, lowest=0)
        t = vector(age, "age", self.subject, lowest=0)
        times = vector(np.broadcast_to(np.asarray(time, dtype=np.float64), t.shape), "time", self.subject, lowest=0)
        same_length(self.subject, frequency=x, age=t)
        return self._while_alive(times, x, t)

    def _p_alive(self, x: "NDArray[np.float64]", t_x: "NDArray[np.float64]", t: "NDArray[np.float64]") -> "NDArray[np.float64]":
        r, alpha, a, b = self._fitted()
        # b + x − 1 is above 0 wherever it counts; without a repeat it may not be.
        odds_of_loss = np.log(a / np.where(x > 0, b + x - 1, 1)) + (r + x) * np.log((alpha + t) / (alpha + t_x))
        return np.where(x > 0, expit(-odds_of_loss), 1.0)

    def _while_alive(
        self, time: "NDArray[np.float64]", x: "NDArray[np.float64]", t: "NDArray[np.float64]"
    ) -> "NDArray[np.float64]":
        """Return E[Y(t)] of customers who are active at T, with one time per customer."""
        r, alpha, a, b = self._fitted()
        while min(abs(a - 1), abs(a + b - 1)) < SINGULAR:
            a += 2 * SINGULAR
        # 0 ≤ z < 1, where the function is defined for every lower parameter but 0, −1, …, of which none is left.
        z = time / (alpha + t + time)
        below = a + b + x - 1
        # Either form's function grows like (1 − z) to the power of minus its exponent: the one with the smaller is taken.
        euler = a - 1 <= r + x
        exponent = np.where(euler, a - 1, r + x)
        function = hyp2f1(exponent, np.where(euler, a + b - 1 - r, b + x), below, z)
        bracket = -np.expm1(exponent * np.log1p(-z)) - (1 - z) ** exponent * (function - 1)
        expected: NDArray[np.float64] = below / (a - 1) * bracket
        if not np.isfinite(expected).all():
            raise ConvergenceError(f"{self.subject}: no finite expectation with {self.parameters_}")
        # Rounding may leave a negative nothing where the time is tiny.
        return np.maximum(expected, 0)

    def _customers(
        self, frequency: "ArrayLike", recency: "ArrayLike", age: "ArrayLike"
    ) -> "tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]":
        x = vector(frequency, "frequency", self.subject, whole=True, lowest=0)
        t_x = vector(recency, "recency", self.subject, lowest=0)
        t = vector(age, "age", self.subject, lowest=0)
        same_length(self.subject, frequency=x, recency=t_x, age=t)
        for wrong, what in (
            (t_x > t, "have a recency above their age"),
            ((x > 0) != (t_x > 0), "have repeats without a recency above 0, or a recency without repeats"),
        ):
            if wrong.any():
                first = int(np.flatnonzero(wrong)[0])
                raise ClvError(
                    f"{self.subject}: {int(wrong.sum())} of {len(x)} customers {what}, "
                    f"first frequency {x[first]:g}, recency {t_x[first]:g}, age {t[first]:g}"
                )
        return x, t_x, t


def _log_likelihood(
    x: "NDArray[np.float64]", t_x: "NDArray[np.float64]", t: "NDArray[np.float64]"
) -> "Callable[[NDArray[np.float64]], tuple[float, NDArray[np.float64]]]":
    """Log-likelihood and gradient by the logarithms of (r, α, a, b).

    Customers with the same x, t_x and T are one weighted term, and terms are sorted, so the result does not depend on the order
    of customers. Gamma functions depend on x alone and are computed once for each x.
    """
    terms, weight = np.unique(np.column_stack([x, t_x, t]), axis=0, return_counts=True)
    count, at = np.unique(terms[:, 0], return_inverse=True)
    customers = np.bincount(at, weights=weight)
    t_x, t, repeated = terms[:, 1], terms[:, 2], terms[:, 0] > 0
    total = float(weight.sum())

    def log_likelihood(point: "NDArray[np.float64]") -> "tuple[float, NDArray[np.float64]]":
        r, alpha, a, b = np.exp(point)
        # b + x − 1, with anything above 0 where there is no repeat.
        chances = np.where(count > 0, b + count - 1, 1)
        orders = r + terms[:, 0]
        log_alive, log_lost = np.log(alpha + t), np.log(alpha + t_x)
        alive = -orders * log_alive
        lost = np.where(repeated, np.log(a / chances)[at] - orders * log_lost, -np.inf)
        either = np.logaddexp(alive, lost)
        by_count = gammaln(r + count) + gammaln(a + b) + gammaln(b + count) - gammaln(b) - gammaln(a + b + count)
        value = customers @ by_count + total * (r * np.log(alpha) - gammaln(r)) + weight @ either
        p_lost = weight * np.exp(lost - either)
        p_alive = weight - p_lost
        lost_by_count = np.bincount(at, weights=p_lost)
        slope = (
            customers @ digamma(r + count) + total * (np.log(alpha) - digamma(r)) - p_alive @ log_alive - p_lost @ log_lost,
            total * r / alpha - p_alive @ (orders / (alpha + t)) - p_lost @ (orders / (alpha + t_x)),
            customers @ (digamma(a + b) - digamma(a + b + count)) + lost_by_count.sum() / a,
            customers @ (digamma(a + b) - digamma(a + b + count) + digamma(b + count) - digamma(b))
            - lost_by_count @ (1 / chances),
        )
        return float(value), np.array(slope) * (r, alpha, a, b)

    return log_likelihood
