"""Reasons for an account's score: its log-odds split among the six indicators and the account's traits.

Belongs here: exact contributions for each kind of model. Does not belong here: scoring (`model`), advice and texts (marts).

A contribution is a Shapley value. The players are groups of features: the six indicators and, as a seventh, the remaining traits
(tenure, revenue, seats). Groups in a coalition have the account's values, all others those of a background row; the payoff is the
mean calibrated log-odds over the background. Because traits are a player, the base is the same for all accounts, and
base + seven contributions = logit of the probability. Contributions compare with the rows of the fit, not with accounts of the
same size.

- Logistic: log-odds are additive, so the Shapley value of a group against all rows of the fit is the sum of coefficient ×
  standardised deviation from the mean over its features and their NULL indicators.
- Boosting: against `ChurnModel.background_`. Trees are evaluated leaf by leaf instead of scoring 2^7 coalitions × accounts ×
  background rows. For an account and a background row, a leaf is reached if every group that only the account satisfies (A) is in
  the coalition and every group that only the background row satisfies (B) is not. The Shapley values of this game are
  (|A|−1)! |B|! / (|A|+|B|)! of the leaf's value for each group of A, and −|A|! (|B|−1)! / (|A|+|B|)! for each group of B. Values
  of leaves add up, and so do their Shapley values.

References: E. Štrumbelj, I. Kononenko (2014), Explaining prediction models and individual predictions with feature
contributions, Knowl. Inf. Syst. 41, eqs. (6)–(8); S. Lundberg, S.-I. Lee (2017), A unified approach to interpreting model
predictions, NeurIPS, eq. (4); S. Lundberg et al. (2020), From local explanations to global understanding with explainable AI
for trees, Nat. Mach. Intell. 2, for interventional values leaf by leaf.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from math import factorial
from typing import TYPE_CHECKING, Any

import numpy as np

from ml.churn.features import GROUP_OF_FEATURE, GROUPS
from ml.churn.trees import Leaf, Node, baseline, roots

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from ml.churn.model import ChurnModel

    Floats = NDArray[np.float64]

# Every group met: a bit for each.
_ALL = (1 << len(GROUPS)) - 1


@dataclass(frozen=True)
class Reasons:
    """Log-odds: `base` of the background; `contributions`, shape (rows, len(GROUPS)), in the order of GROUPS."""

    base: float
    contributions: "Floats"


def reasons(model: "ChurnModel", frame: "pd.DataFrame") -> Reasons:
    """Split the calibrated log-odds of each row among GROUPS, in the frame's order.

    Raises NotFittedError and FeatureError like `ChurnModel.predict_proba`.
    """
    values = model.values(frame)
    calibrated = model.calibrated_.calibrated_classifiers_[0]
    sigmoid, pipeline = calibrated.calibrators[0], calibrated.estimator.estimator
    divide = _linear if hasattr(pipeline[-1], "coef_") else _trees
    base, contributions = divide(pipeline, values, model.background_)
    # The sigmoid is 1 / (1 + exp(a · log-odds + b)).
    return Reasons(float(-(sigmoid.a_ * base + sigmoid.b_)), -sigmoid.a_ * contributions)


def _linear(pipeline: Any, values: "Floats", _background: "Floats") -> tuple[float, "Floats"]:
    regression, imputer = pipeline[-1], pipeline["simpleimputer"]
    groups = np.array(GROUP_OF_FEATURE)
    column_group = np.concatenate([groups, groups[imputer.indicator_.features_]])
    if not len(values):
        return float(regression.intercept_[0]), np.empty((0, len(GROUPS)))
    parts = pipeline[:-1].transform(values) * regression.coef_[0]
    return float(regression.intercept_[0]), parts @ (column_group[:, None] == np.arange(len(GROUPS))).astype(np.float64)


def _trees(pipeline: Any, values: "Floats", background: "Floats") -> tuple[float, "Floats"]:
    booster = pipeline[-1]
    both = np.vstack([values, background])
    contributions, base = np.zeros((len(values), len(GROUPS))), baseline(booster)
    shares = _shares().reshape(_ALL + 1, -1)
    for root in roots(booster):
        for value, met in _leaves(root, both):
            seen = np.bincount(met[len(values) :], minlength=_ALL + 1) / len(background)
            contributions += value * (seen @ shares).reshape(_ALL + 1, len(GROUPS))[met[: len(values)]]
            base += value * seen[_ALL]
    return base, contributions


def _leaves(root: Node, values: "Floats") -> Iterator[tuple[float, "NDArray[np.int64]"]]:
    """Yield each leaf's value and, per row, the groups (as bits) whose splits on the path to the leaf the row satisfies."""
    waiting = [(root, np.full(len(values), _ALL))]
    while waiting:
        node, met = waiting.pop()
        if isinstance(node, Leaf):
            yield node.value, met
            continue
        column, bit = values[:, node.feature], 1 << GROUP_OF_FEATURE[node.feature]
        left = np.where(np.isnan(column), node.missing_goes_left, column <= node.threshold)
        waiting.append((node.left, np.where(left, met, met & ~bit)))
        waiting.append((node.right, np.where(left, met & ~bit, met)))


@cache
def _shares() -> "Floats":
    """Return the Shapley values of a leaf with value 1, shape (background's bits, account's bits, groups)."""
    mine, other = np.arange(_ALL + 1)[None, :, None], np.arange(_ALL + 1)[:, None, None]
    bit = 1 << np.arange(len(GROUPS))
    asked, excluded = ((mine & ~other) & bit) > 0, ((other & ~mine) & bit) > 0
    a, b = asked.sum(axis=2, keepdims=True), excluded.sum(axis=2, keepdims=True)
    factorials = np.array([factorial(number) for number in range(len(GROUPS) + 1)], dtype=np.float64)
    for_asked = factorials[np.maximum(a - 1, 0)] * factorials[b]
    for_excluded = factorials[a] * factorials[np.maximum(b - 1, 0)]
    reachable = (mine | other) == _ALL
    # Where nobody meets a group there is no way to the leaf; where |A| + |B| exceeds the groups that is so anyhow.
    shares: Floats = np.where(reachable, asked * for_asked - excluded * for_excluded, 0.0) / factorials[a + b]
    return shares
