"""The value of an order: the Gamma-Gamma model.

Belongs here: the model of a customer's mean order value. Does not belong here: the number of future orders (`beta_geo_nbd`).
"""

from typing import TYPE_CHECKING, Self

import numpy as np
from scipy.special import digamma, gammaln

from ml.clv.inputs import ClvError, DegenerateDataError, require_number, vector
from ml.clv.likelihood import LikelihoodEstimator, maximise

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray


class GammaGamma(LikelihoodEstimator):
    """Order values of a customer are gamma(p, ν) distributed; ν is gamma(q, v) distributed across customers.

    Likelihood of a customer with mean order value m over x orders:
        Γ(p x + q) / (Γ(p x) Γ(q)) · v^q m^(p x − 1) x^(p x) / (v + x m)^(p x + q)

    The population mean is p v / (q − 1) and exists only for q > 1. Assumes that values are independent of order frequency. Works
    in any unit of money; `v` is in the caller's unit.

    minimum_customers: minimum number of customers with a repeat and a mean value above 0 for a fit.
    label: name of the fitted segment, for messages.

    After `fit`: `parameters_` p, q and v (money), `covariance_`, `log_likelihood_` (which depends on the unit of money),
    `customer_count_` (customers used for the fit).

    Reference: P. Fader and B. Hardie (2013), The Gamma-Gamma model of monetary value, note 25 of brucehardie.com.
    """

    parameter_names = ("p", "q", "v")

    def __init__(self, *, minimum_customers: int = 30, label: str = "all customers") -> None:
        self.minimum_customers = minimum_customers
        self.label = label

    def fit(self, frequency: "ArrayLike", mean_value: "ArrayLike") -> Self:
        """Fit on the number of repeat orders and their mean value, one element per customer in any order, shape (n,).

        Uses only customers with a repeat and a mean value above 0; others may have any value or NaN.

        Raises ClvError for invalid frequencies; DegenerateDataError with fewer than `minimum_customers` usable customers, or if
        q ≤ 1, so that no mean value exists; ConvergenceError if the likelihood has no maximum within the bounds, for example when
        all order values are equal.
        """
        minimum = require_number(self.minimum_customers, "minimum_customers", self.subject, lowest=1, whole=True)
        x, value = self._orders(frequency, mean_value)
        known = (x > 0) & (value > 0)
        self.customer_count_ = int(known.sum())
        if self.customer_count_ < minimum:
            raise DegenerateDataError(
                f"{self.subject}: {self.customer_count_ or 'none'} of {len(x)} customers ordered again for a mean value above 0, "
                f"at least {minimum:g} are needed"
            )
        terms, weight = np.unique(np.column_stack([x[known], value[known]]), axis=0, return_counts=True)
        unit = float(weight @ terms[:, 1] / weight.sum())
        log_likelihood = _log_likelihood(terms[:, 0], terms[:, 1] / unit, weight.astype(np.float64))
        starts = [(p, q, (q - 1) / p) for p, q in ((4.0, 3.0), (1.0, 2.0), (16.0, 6.0))]
        maximum = maximise(
            log_likelihood, starts=starts, names=self.parameter_names, size=self.customer_count_, subject=self.subject
        )
        q = float(np.exp(maximum.log_parameters[1]))
        if q <= 1:
            raise DegenerateDataError(f"{self.subject}: order values spread so far (q = {q:.3g}) that they have no mean")
        self._keep(maximum, (1, 1, unit))
        self.log_likelihood_ -= self.customer_count_ * float(np.log(unit))
        return self

    def population_mean(self) -> float:
        """Return the mean order value of a new customer, p v / (q − 1), in money. Raises DegenerateDataError if q ≤ 1."""
        p, q, v = self._fitted()
        if q <= 1:
            raise DegenerateDataError(f"{self.subject}: no mean value exists with q = {q:.3g}, it must be above 1")
        return p * v / (q - 1)

    def conditional_expected_value(self, frequency: "ArrayLike", mean_value: "ArrayLike") -> "NDArray[np.float64]":
        """E[M | x, m]: expected value of a customer's next orders, in money, shape (n,).

        p (v + x m) / (p x + q − 1): between the population's mean and the customer's own, closer to the latter with each order.
        Without a repeat (x = 0, m ignored) it is the population mean; a mean below 0, due to refunds, counts as 0.
        """
        p, q, v = self._fitted()
        self.population_mean()
        x, value = self._orders(frequency, mean_value)
        if np.isnan(value[x > 0]).any():
            raise ClvError(
                f"{self.subject}: mean_value is missing for {int(np.isnan(value[x > 0]).sum())} customers with repeats"
            )
        spent = x * np.where(x > 0, np.maximum(value, 0), 0)
        return p * (v + spent) / (p * x + q - 1)

    def _orders(self, frequency: "ArrayLike", mean_value: "ArrayLike") -> "tuple[NDArray[np.float64], NDArray[np.float64]]":
        x = vector(frequency, "frequency", self.subject, whole=True, lowest=0)
        try:
            value = np.asarray(mean_value, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise ClvError(f"{self.subject}: mean_value must be numbers or NaN ({error})") from None
        if value.shape != x.shape or np.isinf(value).any():
            raise ClvError(f"{self.subject}: mean_value must be {len(x)} finite numbers or NaN, one for each frequency")
        return x, value


def _log_likelihood(
    x: "NDArray[np.float64]", value: "NDArray[np.float64]", weight: "NDArray[np.float64]"
) -> "Callable[[NDArray[np.float64]], tuple[float, NDArray[np.float64]]]":
    """Log-likelihood and gradient by the logarithms of (p, q, v), of terms with weights, each of shape (n,)."""
    count, at = np.unique(x, return_inverse=True)
    customers = np.bincount(at, weights=weight)
    total = float(weight.sum())
    log_value, log_spent = np.log(value), np.log(x * value)

    def log_likelihood(point: "NDArray[np.float64]") -> "tuple[float, NDArray[np.float64]]":
        p, q, v = np.exp(point)
        log_all = np.log(v + x * value)
        by_count = gammaln(p * count + q) - gammaln(p * count)
        ll = (
            customers @ by_count
            + total * (q * np.log(v) - gammaln(q))
            + weight @ (p * x * (log_spent - log_all) - log_value - q * log_all)
        )
        rise = digamma(p * count + q)
        slope = (
            customers @ (count * (rise - digamma(p * count))) + weight @ (x * (log_spent - log_all)),
            customers @ rise + total * (np.log(v) - digamma(q)) - weight @ log_all,
            total * q / v - weight @ ((p * x + q) / (v + x * value)),
        )
        return float(ll), np.array(slope) * (p, q, v)

    return log_likelihood
