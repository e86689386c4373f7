"""Quality of predicted probabilities, and the value of acting on them.

Belongs here: figures that need only labels, probabilities and money. Does not belong here: choice of rows and rivals
(`training`). An undefined figure (AUC of one class, slope of a constant prediction) is None, never NaN, because the
figures are stored as JSON.
"""

from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

# A certain prediction that fails would have infinite loss; this bound limits it.
_EPSILON = 1e-15
# Log-odds that differ by less are treated as constant.
_CONSTANT = 1e-9


@dataclass(frozen=True)
class Bin:
    """A tenth of the rows by predicted probability; ties share a bin, so there may be fewer than ten bins."""

    rows: int
    probability_min: float
    probability_max: float
    probability_mean: float
    churn_rate: float


@dataclass(frozen=True)
class Lift:
    """Lift of the `share` of rows predicted highest: churn rate over that of all rows, and share of churns `found`."""

    share: float
    lift: float
    found: float


@dataclass(frozen=True)
class Intervention:
    """The cost of contacting one account, and the share of churning accounts that it retains.

    Defaults: an hour of a customer manager, and one account in five. Replace them with the company's own figures.
    """

    cost_usd: float = 50.0
    success_rate: float = 0.2

    def __post_init__(self) -> None:
        if not 0 <= self.cost_usd < float("inf"):
            raise ValueError(f"intervention_cost must be a finite number of at least 0, not {self.cost_usd!r}")
        if not 0 <= self.success_rate <= 1:
            raise ValueError(f"intervention_success_rate must be from 0 to 1, not {self.success_rate!r}")


@dataclass(frozen=True)
class Money:
    """The value of contacting the top accounts, in USD; revenue is monthly, and one month is counted.

    mrr_lost: of all churned accounts. mrr_saved: success rate × lost MRR of contacted accounts. net = mrr_saved − cost.
    """

    accounts: int
    contacted: int
    contacted_churned: int
    mrr_lost_usd: float
    mrr_saved_usd: float
    cost_usd: float
    net_usd: float

    @classmethod
    def nothing(cls) -> "Money":
        """Return the sum over no accounts."""
        return cls(0, 0, 0, 0.0, 0.0, 0.0, 0.0)

    def __add__(self, other: "Money") -> "Money":
        return Money(*(mine + theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))


@dataclass(frozen=True)
class Calibration:
    """Calibration error and its significance; see `judge_calibration`.

    intercept, slope: as in `Metrics`. p_value: of the hypothesis that both are perfect.
    """

    intercept: float | None
    slope: float | None
    p_value: float


@dataclass(frozen=True)
class Ranking:
    """AUC of churned against retained accounts and its significance; see `judge_ranking`.

    auc, standard_error: None if undefined. p_value: of the hypothesis that the AUC is at most 0.5.
    """

    auc: float | None
    standard_error: float | None
    p_value: float


@dataclass(frozen=True)
class Metrics:
    """Figures of one set of predictions.

    calibration_slope: b of logit P(churn) = a + b · logit p; 1 is perfect, below 1 is overconfident.
    calibration_intercept: a of logit P(churn) = a + logit p; 0 is perfect, above 0 means predictions are too low.
    top_decile_lift: churn rate of the tenth with the highest predictions, relative to that of all rows. lift: the same for each
    tenth, where ties count with their mean; empty if nobody churned.

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
    lift: tuple[Lift, ...]


def evaluate(churned: "NDArray[np.int64]", probability: "Floats") -> Metrics:
    """Compute the figures of predictions, both of shape (rows,). Raises ValueError if empty or outside [0, 1]."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    if not len(probability) or churned.shape != probability.shape:
        raise ValueError(f"evaluate: {len(churned)} labels and {len(probability)} probabilities")
    if not np.isin(churned, (0, 1)).all() or not ((probability >= 0) & (probability <= 1)).all():
        raise ValueError("evaluate: labels must be 0 or 1 and probabilities from 0 to 1")
    both = 0 < churned.sum() < len(churned)
    intercept, slope = _recalibration(churned, _log_odds(probability))
    lift = _lift(churned, probability) if churned.any() else ()
    return Metrics(
        rows=len(churned),
        churned=int(churned.sum()),
        probability_mean=float(probability.mean()),
        log_loss=float(log_losses(churned, probability).mean()),
        brier=float(np.mean((probability - churned) ** 2)),
        auc=float(roc_auc_score(churned, probability)) if both else None,
        average_precision=float(average_precision_score(churned, probability)) if both else None,
        calibration_slope=slope,
        calibration_intercept=intercept,
        top_decile_lift=lift[0].lift if lift else None,
        bins=_bins(churned, probability),
        lift=lift,
    )


def judge_calibration(churned: "NDArray[np.int64]", probability: "Floats", accounts: "NDArray[np.object_]") -> Calibration:
    """Test that logit P(churn) = a + b · logit p holds with a = 0 and b = 1; all of shape (rows,).

    A score test with two degrees of freedom: sums of y − p and of (y − p) · logit p, with their variance computed from p. It
    needs no fit, so it is defined where a fit does not converge; with equal probabilities only the first sum is used. The
    variance treats all rows of an account as one outcome, since its dates are correlated. This overstates the variance if the
    dates lie far apart and makes the test conservative. On simulated hazards (three or four dates 8 days apart, level 1 %) true
    probabilities are rejected in 0 to 3 of 1,000 runs, doubled ones in 58 of 100 with 19 churned accounts, 72 of 100 with 29,
    399 of 400 with 58.

    References: D. Cox (1958), Two further applications of a model for binary regression, Biometrika 45; M. Miller, S. Hui and
    W. Tierney (1991), Validation techniques for logistic regression models, Stat. Med. 10, for the joint test.
    """
    from scipy.special import chdtrc

    probability = np.clip(probability, _EPSILON, 1 - _EPSILON)
    logit = _log_odds(probability)
    # Centred log-odds avoid near-collinearity with the constant; the statistic is the same.
    design = np.column_stack([np.ones_like(logit), logit - logit.mean()])[:, : 2 if np.ptp(logit) > _CONSTANT else 1]
    _, account = np.unique(accounts, return_inverse=True)
    deviations = design * np.sqrt(probability * (1 - probability))[:, None]
    by_account = np.column_stack([np.bincount(account, weights=column) for column in deviations.T])
    variance, score = by_account.T @ by_account, design.T @ (churned - probability)
    statistic = score @ np.linalg.pinv(variance, hermitian=True) @ score
    p_value = float(chdtrc(np.linalg.matrix_rank(variance, hermitian=True), statistic))
    return Calibration(*_recalibration(churned, logit), p_value)


def judge_ranking(churned: "NDArray[np.int64]", probability: "Floats", accounts: "NDArray[np.object_]") -> Ranking:
    """Test that the AUC is above 0.5; all of shape (rows,).

    The AUC is the mean, over rows, of the share of rows of the other class that are ranked correctly against it. Its variance is
    that of these shares summed by account, since the dates of an account are correlated. A test of the gain in log-loss would
    need far more churns: a few accounts, or a changed base rate, decide its sign.

    Reference: N. Obuchowski (1997), Nonparametric analysis of clustered ROC curve data, Biometrics 53, §2.
    """
    from scipy.special import ndtr

    left = churned == 1
    if not 0 < left.sum() < len(left):
        return Ranking(None, None, 1.0)
    _, account = np.unique(accounts, return_inverse=True)
    beaten = _share_below(probability[left], probability[~left])
    auc = float(beaten.mean())
    sums = [
        np.bincount(account[rows], weights=shares - auc, minlength=account.max() + 1) / rows.sum()
        for rows, shares in ((left, beaten), (~left, 1 - _share_below(probability[~left], probability[left])))
    ]
    clusters = [len(np.unique(account[rows])) for rows in (left, ~left, left | ~left)]
    # A single account of a kind has no observable variance, so it proves nothing.
    if min(clusters) < 2:
        return Ranking(auc, None, 1.0)
    spread = zip(clusters, (sums[0] @ sums[0], sums[1] @ sums[1], 2 * sums[0] @ sums[1]), strict=True)
    error = float(np.sqrt(max(0.0, sum(count / (count - 1) * part for count, part in spread))))
    surely = 0.0 if auc > 0.5 else 1.0
    return Ranking(auc, error, float(ndtr((0.5 - auc) / error)) if error > 0 else surely)


def log_losses(churned: "NDArray[np.int64]", probability: "Floats") -> "Floats":
    """Compute the negative log-likelihood of each row, shape (rows,), in nats."""
    happened = np.where(churned == 1, probability, 1 - probability)
    losses: Floats = -np.log(np.clip(happened, _EPSILON, 1.0))
    return losses


def gain_interval(gains: "Floats", accounts: "NDArray[np.object_]", *, seed: int, resamples: int = 400) -> tuple[float, float]:
    """Return the 90 % bootstrap interval of the mean gain per row; both of shape (rows,).

    Resamples accounts: their dates are correlated, so resampling rows would give too narrow an interval.
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


def money_saved(churned: "NDArray[np.int64]", probability: "Floats", mrr_usd: "Floats", intervention: Intervention) -> Money:
    """Compute the value of contacting the top accounts; all of shape (accounts,), one element per account.

    Contacts the tenth of the accounts (at least one) with the highest expected loss, probability × MRR, even if the net is
    negative.
    """
    contacted = np.argsort(-probability * mrr_usd, kind="stable")[: max(1, len(churned) // 10)]
    lost = mrr_usd * churned
    saved, cost = intervention.success_rate * float(lost[contacted].sum()), intervention.cost_usd * len(contacted)
    return Money(
        accounts=len(churned),
        contacted=len(contacted),
        contacted_churned=int(churned[contacted].sum()),
        mrr_lost_usd=float(lost.sum()),
        mrr_saved_usd=saved,
        cost_usd=cost,
        net_usd=saved - cost,
    )


def _lift(churned: "NDArray[np.int64]", probability: "Floats") -> tuple[Lift, ...]:
    """Compute the lift at each tenth. Ties at a cut count with their mean, so the order of rows has no effect."""
    levels, level = np.unique(-probability, return_inverse=True)
    rows, churns = (np.bincount(level, weights=weight, minlength=len(levels)) for weight in (None, churned))
    sizes = np.maximum(1, len(churned) * np.arange(1, 11) // 10)
    found = np.interp(sizes, np.append(0, rows.cumsum()), np.append(0, churns.cumsum()))
    return tuple(
        Lift(share=tenth / 10, lift=float(count / size / churned.mean()), found=float(count / churned.sum()))
        for tenth, size, count in zip(range(1, 11), sizes, found, strict=True)
    )


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


def _share_below(of: "Floats", among: "Floats") -> "Floats":
    """Return for each value of `of` the share of `among` below it; ties count half. Shape of `of`."""
    among = np.sort(among)
    shares: Floats = (np.searchsorted(among, of, "left") + np.searchsorted(among, of, "right")) / (2 * len(among))
    return shares


def _log_odds(probability: "Floats") -> "Floats":
    clipped = np.clip(probability, _EPSILON, 1 - _EPSILON)
    odds: Floats = np.log(clipped / (1 - clipped))
    return odds


def _recalibration(churned: "NDArray[np.int64]", logit: "Floats") -> tuple[float | None, float | None]:
    """Fit the intercept with slope 1, and the slope with a free intercept; None for a fit that does not exist."""
    if not 0 < churned.sum() < len(churned):
        return None, None
    intercept = _logistic(np.ones((len(logit), 1)), churned, offset=logit)
    varies = np.ptp(logit) > _CONSTANT
    return intercept, _logistic(np.column_stack([logit, np.ones_like(logit)]), churned) if varies else None


def _logistic(design: "Floats", churned: "NDArray[np.int64]", offset: "Floats | float" = 0.0) -> float | None:
    """Fit an unpenalised logistic regression by Newton's method; return its first coefficient, None if it is not finite."""
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
