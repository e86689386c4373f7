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
    """Order values of a customer are gamma(p, ν) distributed around its own mean; across customers ν is gamma(q, v).

    One customer's likelihood, of its mean order value m over x orders:
        Γ(p x + q) / (Γ(p x) Γ(q)) · v^q m^(p x − 1) x^(p x) / (v + x m)^(p x + q)

    The population mean is p v / (q − 1) and exists for q > 1 only. Values are taken to be independent of how often a customer
    orders. The unit of money is the caller's: it is scaled away inside, and `v` comes back in it.

    minimum_customers: minimum number of customers with a repeat and a mean value above 0 for a fit.
    label: name of the fitted segment, for messages.

    After `fit`: `parameters_` p, q and v (money), `covariance_`, `log_likelihood_` (which depends on the unit of money),
    `customer_count_` (those it was fitted on).

    Reference: P. Fader and B. Hardie (2013), The Gamma-Gamma model of monetary value, note 25 of brucehardie.com.
    """

    parameter_names = ("p", "q", "v")

    def __init__(self, *, minimum_customers: int = 30, label: str = "all customers") -> None:
        self.minimum_customers = minimum_customers
        self.label = label

    def fit(self, frequency: "ArrayLike", mean_value: "ArrayLike") -> Self:
        """Fit on customers, one an element, in any order: number of repeat orders and mean value of those, each of shape (n,).

        Only customers with a repeat and a mean value above 0 say something of a value and are fitted on; the others may be
        there, with any value or NaN.

        Raises ClvError for frequencies that are none; DegenerateDataError with fewer than `minimum_customers` to fit on, or
        where q comes out at 1 or below, so that no mean value exists; ConvergenceError where the likelihood has no maximum
        inside the bounds, such as order values that do not differ.
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
        """Mean order value of a customer without history, p v / (q − 1), in money; DegenerateDataError without one."""
        p, q, v = self._fitted()
        if q <= 1:
            raise DegenerateDataError(f"{self.subject}: no mean value exists with q = {q:.3g}, it must be above 1")
        return p * v / (q - 1)

    def conditional_expected_value(self, frequency: "ArrayLike", mean_value: "ArrayLike") -> "NDArray[np.float64]":
        """E[M | x, m]: expected value of a customer's next orders, in money, shape (n,).

        p (v + x m) / (p x + q − 1): between the customer's own mean and the population's, nearer to its own with each order.
        Without a repeat (x = 0, whatever m is) it is the population mean; a mean below 0, of refunds, counts as 0.
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
