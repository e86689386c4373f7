"""Maximum likelihood of a few positive parameters, and the uncertainty of figures computed from them.

Belongs here: the optimiser and its convergence checks, the base of the estimators, the delta method. Does not belong here: any
model's likelihood.

Works on the logarithms of the parameters: no constraint is needed, and steps are relative.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, ClassVar, Self, TypeVar

import numpy as np
from scipy.optimize import minimize
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted
from threadpoolctl import ThreadpoolController

from ml.clv.inputs import ClvError, ConvergenceError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    LogLikelihood = Callable[[NDArray[np.float64]], tuple[float, NDArray[np.float64]]]

# Parameters live in [1e-5, 1e5]: beyond that a beta or gamma distribution is a point mass in all that can be observed.
BOUND = np.log(1e5)
# Relative step of central differences: their error is then about 1e-8, and that of rounding 1e-12.
STEP = 1e-4
# Half of Newton's decrement is the log-likelihood still to be gained. At 1e-6 an estimate is within a thousandth of its
# standard error of the maximum; a search that goes well ends below 1e-12.
DECREMENT = 1e-6
NEWTON_STEPS = 50
# The 90 % quantile of the standard normal distribution.
Z90 = 1.2815515655446004


@dataclass(frozen=True)
class Maximum:
    """The maximum of a log-likelihood: k log-parameters, their asymptotic covariance (k, k) and the value there."""

    log_parameters: "NDArray[np.float64]"
    covariance: "NDArray[np.float64]"
    log_likelihood: float


@cache
def _threads() -> ThreadpoolController:
    """Limit linear algebra to one thread: on matrices of four rows, more threads cost ten times the computation."""
    return ThreadpoolController()


def maximise(
    log_likelihood: "LogLikelihood", *, starts: Iterable[Iterable[float]], names: tuple[str, ...], size: float, subject: str
) -> Maximum:
    """Maximise a log-likelihood of log-parameters: L-BFGS-B from each start, then Newton's steps from the best end.

    log_likelihood: returns the value and its gradient (k,) at log-parameters (k,), summed over all customers.
    starts: parameters (not logarithms), each of shape (k,); tried in order, so the result is deterministic.
    size: number of observations (customers or renewals); scales the tolerances of L-BFGS-B.

    Raises ConvergenceError, naming the subject, if no start gives a finite result, the best end lies on a bound, or it is no
    maximum: its Hessian is not positive definite, or the Newton decrement is above 1e-6.
    """

    def loss(point: "NDArray[np.float64]") -> "tuple[float, NDArray[np.float64]]":
        value, slope = log_likelihood(point)
        return -value / size, -slope / size

    with _threads().limit(limits=1, user_api="blas"):
        ends = [_descend(loss, np.log(np.array(list(start), dtype=np.float64))) for start in starts]
        finite = [(value, point) for value, point in ends if np.isfinite(value) and np.isfinite(point).all()]
        if not finite:
            raise ConvergenceError(f"{subject}: no start led to a finite likelihood")
        _, point = min(finite, key=lambda end: end[0])
        for _ in range(NEWTON_STEPS):
            gradient, hessian = log_likelihood(point)[1], _hessian(log_likelihood, point)
            if not _positive_definite(hessian):
                break
            step = np.linalg.solve(hessian, gradient)
            # Near the maximum steps are short; a long one would leave the region where the derivatives are valid.
            point = np.clip(point + step / max(1.0, float(np.abs(step).max())), -BOUND, BOUND)
            if gradient @ step < DECREMENT**2:
                break
        return _verdict(log_likelihood, point, names, subject)


def _descend(loss: "LogLikelihood", start: "NDArray[np.float64]") -> "tuple[float, NDArray[np.float64]]":
    """Return value and position of L-BFGS-B's result.

    Ignores its status, which reports an abnormal end when rounding stops the line search at the maximum. `maximise` checks the
    result itself.
    """
    found = minimize(
        loss,
        np.clip(start, -BOUND, BOUND),
        jac=True,
        method="L-BFGS-B",
        bounds=[(-BOUND, BOUND)] * len(start),
        options={"ftol": 1e-10, "gtol": 1e-5},
    )
    return float(found.fun), found.x


def _verdict(log_likelihood: "LogLikelihood", point: "NDArray[np.float64]", names: tuple[str, ...], subject: str) -> Maximum:
    on_bound = [f"{name} = {np.exp(at):.3g}" for name, at in zip(names, point, strict=True) if abs(at) > BOUND - 0.01]
    if on_bound:
        raise ConvergenceError(f"{subject}: the likelihood grows up to the bounds ({', '.join(on_bound)})")
    value, gradient = log_likelihood(point)
    hessian = _hessian(log_likelihood, point)
    if not _positive_definite(hessian):
        raise ConvergenceError(f"{subject}: the search ended where the likelihood has no maximum")
    decrement = float(gradient @ np.linalg.solve(hessian, gradient))
    if decrement > DECREMENT:
        raise ConvergenceError(f"{subject}: the search ended short of the maximum (Newton decrement {decrement:.1e})")
    return Maximum(point, np.asarray(np.linalg.inv(hessian), dtype=np.float64), value)


def _hessian(log_likelihood: "LogLikelihood", point: "NDArray[np.float64]") -> "NDArray[np.float64]":
    """Return the Hessian of minus the log-likelihood by central differences of its gradient, shape (k, k)."""
    moves = STEP * np.eye(len(point))
    rows = [(log_likelihood(point - move)[1] - log_likelihood(point + move)[1]) / (2 * STEP) for move in moves]
    return (np.array(rows) + np.array(rows).T) / 2


def _positive_definite(hessian: "NDArray[np.float64]") -> bool:
    return bool(np.isfinite(hessian).all() and np.linalg.eigvalsh(hessian)[0] > 0)


class LikelihoodEstimator(BaseEstimator):  # type: ignore[misc]
    """Base of the models: named positive parameters with the covariance of their logarithms.

    After `fit`: `parameters_` (name → value), `covariance_` (k, k) of the logarithms in the order of `parameter_names`, and
    `log_likelihood_`. The square root of a diagonal element is a parameter's relative standard error.
    """

    parameter_names: ClassVar[tuple[str, ...]]
    label: str
    parameters_: dict[str, float]
    covariance_: "NDArray[np.float64]"
    log_likelihood_: float

    @property
    def subject(self) -> str:
        """The model and its data, as named in messages."""
        return f"{type(self).__name__} ({self.label})"

    def at(self, **parameters: float) -> Self:
        """Return a copy with the given parameters, for example published ones, instead of fitted ones."""
        if set(parameters) != set(self.parameter_names) or not all(0 < value < np.inf for value in parameters.values()):
            raise ClvError(f"{self.subject}: needs a positive finite value for each of {', '.join(self.parameter_names)}")
        copy: Self = clone(self)
        copy.parameters_ = {name: float(parameters[name]) for name in self.parameter_names}
        return copy

    def _keep(self, maximum: Maximum, scales: Iterable[float]) -> None:
        """Store a maximum found in internal units; scales convert the parameters to the caller's units."""
        values = np.exp(maximum.log_parameters) * np.array(list(scales))
        self.parameters_ = dict(zip(self.parameter_names, values.tolist(), strict=True))
        self.covariance_ = maximum.covariance
        self.log_likelihood_ = maximum.log_likelihood

    def _fitted(self) -> tuple[float, ...]:
        check_is_fitted(self, "parameters_")
        return tuple(self.parameters_[name] for name in self.parameter_names)


Model = TypeVar("Model", bound=LikelihoodEstimator)


def delta_variance(model: Model, figures: "Callable[[Model], NDArray[np.float64]]") -> "NDArray[np.float64]":
    """Return the variance of figures (n,) of a fitted model by the delta method: J C Jᵀ, J: derivatives by log-parameters.

    It does not depend on the parametrisation and, unlike random draws of the parameters, remains valid if only the ratio of two
    parameters is identified. Reference: G. Casella and R. Berger (2002), Statistical inference, section 5.5.4.
    """
    logs = np.log(np.array([model.parameters_[name] for name in model.parameter_names]))

    def figures_at(point: "NDArray[np.float64]") -> "NDArray[np.float64]":
        return figures(model.at(**dict(zip(model.parameter_names, np.exp(point).tolist(), strict=True))))

    moves = STEP * np.eye(len(logs))
    jacobian = np.array([(figures_at(logs + move) - figures_at(logs - move)) / (2 * STEP) for move in moves])
    variance: NDArray[np.float64] = np.einsum("kn,kl,ln->n", jacobian, model.covariance_, jacobian)
    return np.maximum(variance, 0)
