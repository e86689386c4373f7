"""How good a set of predicted probabilities is, against what then happened.

Belongs here: figures that need only labels and probabilities. Does not belong here: which rows and which rivals (`training`).
A figure that is not defined (an AUC of one class, a slope of a constant prediction) is None, never NaN: the figures go into JSON.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

# A certain prediction that fails would cost infinitely much; this is the bound up to which it costs.
_EPSILON = 1e-15


@dataclass(frozen=True)
class Bin:
    """One tenth of the rows by predicted probability; rows that tie share a bin, so there may be fewer than ten."""

    rows: int
    probability_min: float
    probability_max: float
    probability_mean: float
    churn_rate: float


@dataclass(frozen=True)
class Metrics:
    """Figures of one set of predictions.

    calibration_slope: b of logit P(churn) = a + b · logit p; 1 is perfect, below 1 is overconfident.
    calibration_intercept: a of logit P(churn) = a + logit p; 0 is perfect, above 0 means predicted too low.
    top_decile_lift: churn rate of the tenth of the rows predicted highest, over the churn rate of all.

    Reference: B. Van Calster et al. (2016), A calibration hierarchy for risk models was defined, J. Clin. Epidemiol. 74, §2.
    """

    rows: int
    churned: int
    probability_mean: float
    log_loss: float
    brier: float
    auc: float | None
    average_precision: float | None
    calibration_slope: float | None
    calibration_intercept: float | None
    top_decile_lift: float | None
    bins: tuple[Bin, ...]


def evaluate(churned: "NDArray[np.int64]", probability: "Floats") -> Metrics:
    """Judge predicted probabilities, both of shape (rows,); ValueError when there are none or they are out of [0, 1]."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    if not len(probability) or churned.shape != probability.shape:
        raise ValueError(f"evaluate: {len(churned)} labels and {len(probability)} probabilities")
    if not np.isin(churned, (0, 1)).all() or not ((probability >= 0) & (probability <= 1)).all():
        raise ValueError("evaluate: labels must be 0 or 1 and probabilities from 0 to 1")
    both = 0 < churned.sum() < len(churned)
    clipped = np.clip(probability, _EPSILON, 1 - _EPSILON)
    logit = np.log(clipped / (1 - clipped))
    varies = both and np.ptp(logit) > 1e-9
    return Metrics(
        rows=len(churned),
        churned=int(churned.sum()),
        probability_mean=float(probability.mean()),
        log_loss=float(log_losses(churned, probability).mean()),
        brier=float(np.mean((probability - churned) ** 2)),
        auc=float(roc_auc_score(churned, probability)) if both else None,
        average_precision=float(average_precision_score(churned, probability)) if both else None,
        calibration_slope=_logistic(np.column_stack([logit, np.ones_like(logit)]), churned) if varies else None,
        calibration_intercept=_logistic(np.ones((len(logit), 1)), churned, offset=logit) if both else None,
        top_decile_lift=_top_decile_lift(churned, probability) if churned.any() else None,
        bins=_bins(churned, probability),
    )


def log_losses(churned: "NDArray[np.int64]", probability: "Floats") -> "Floats":
    """Compute the negative log-likelihood of each row, shape (rows,), in nats."""
    happened = np.where(churned == 1, probability, 1 - probability)
    losses: Floats = -np.log(np.clip(happened, _EPSILON, 1.0))
    return losses


def gain_interval(gains: "Floats", accounts: "NDArray[np.object_]", *, seed: int, resamples: int = 400) -> tuple[float, float]:
    """Bound the mean gain per row by a 90 % interval, from the bootstrap over accounts; both of shape (rows,).

    Rows of one account on several dates share a fate, so accounts are drawn: drawing rows would give too narrow an interval.
    """
    _, account = np.unique(accounts, return_inverse=True)
    sums, rows = np.bincount(account, weights=gains), np.bincount(account)
    generator = np.random.default_rng(seed)
    means = np.empty(resamples)
    for index in range(resamples):
        drawn = generator.integers(len(rows), size=len(rows))
        means[index] = sums[drawn].sum() / rows[drawn].sum()
    low, high = np.quantile(means, (0.05, 0.95))
    return float(low), float(high)


def _top_decile_lift(churned: "NDArray[np.int64]", probability: "Floats") -> float:
    """Count rows that tie at the edge of the tenth by their mean, so that the lift does not depend on the rows' order."""
    size = max(1, len(probability) // 10)
    edge = np.partition(probability, -size)[-size]
    above, tied = probability > edge, probability == edge
    found = churned[above].sum() + churned[tied].mean() * (size - above.sum())
    return float(found / size / churned.mean())


def _bins(churned: "NDArray[np.int64]", probability: "Floats") -> tuple[Bin, ...]:
    edges = np.quantile(probability, np.arange(1, 10) / 10)
    number = np.searchsorted(edges, probability, side="left")
    return tuple(
        Bin(
            rows=int(inside.sum()),
            probability_min=float(probability[inside].min()),
            probability_max=float(probability[inside].max()),
            probability_mean=float(probability[inside].mean()),
            churn_rate=float(churned[inside].mean()),
        )
        for inside in (number == each for each in np.unique(number))
    )


def _logistic(design: "Floats", churned: "NDArray[np.int64]", offset: "Floats | float" = 0.0) -> float | None:
    """Find the first coefficient of an unpenalised logistic regression by Newton's method; None when there is no finite one."""
    weights = np.zeros(design.shape[1])
    for _ in range(50):
        fitted = 1 / (1 + np.exp(-np.clip(design @ weights + offset, -500, 500)))
        information = design.T @ (design * (fitted * (1 - fitted))[:, None])
        try:
            step = np.linalg.solve(information, design.T @ (churned - fitted))
        except np.linalg.LinAlgError:
            return None
        weights = weights + step
        if not np.isfinite(weights).all():
            return None
        if np.abs(step).max() < 1e-10:
            return float(weights[0])
    return None
