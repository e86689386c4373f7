"""The churn estimator, in two kinds behind one interface, and its scoring.

Belongs here: from features to probabilities. Does not belong here: choosing the rows to fit (`training`), measuring quality
(`evaluation`), explaining scores (`reasons`), storing the model (`artifact`).
"""

from contextlib import AbstractContextManager
from functools import cache
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils.validation import check_is_fitted
from threadpoolctl import ThreadpoolController

from ml.churn.features import FEATURE_NAMES, INDICATORS, KEY, FeatureError, in_key_order, matrix
from ml.churn.reasons import reasons

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

LOGISTIC, BOOSTING = "logistic", "boosting"
# In order of preference: at a tie the first is chosen.
KINDS = (LOGISTIC, BOOSTING)

# An account is in many as-of dates with one outcome, so rows overstate the information; a heavier penalty compensates.
# On 120, 200 and 400 accounts of simulated companies (19, 33 and 69 that churned in the fit) the mean AUC on other accounts is
# 0.740, 0.764 and 0.783 at 10, 0.757, 0.776 and 0.792 at 100, no more at 1,000; log-loss moves the same way, by less.
L2 = 100.0
# Leaves are shrunk by the rows' own curvature, p (1 − p), a twentieth where one in twenty churns.
_LEAF_SHARE = 0.1

# Rows of the fit used as the background of boosting's reasons; at 100 the standard error of their mean is a tenth of their
# spread.
_BACKGROUND_ROWS = 100


def signed_log(values: "NDArray[np.float64]") -> "NDArray[np.float64]":
    """sign(x) · log(1 + |x|): counts and money span decades, and days to a renewal may lie in the past."""
    return np.sign(values) * np.log1p(np.abs(values))


class ChurnModel(BaseEstimator):  # type: ignore[misc]
    """A pipeline from features to log-odds of churn, with Platt's calibration on later rows.

    kind: "logistic", a regularised logistic regression on log-scaled features, where NULLs become the median of the fitted rows
    plus an indicator column for each feature that was NULL in them; or "boosting", 60 gradient-boosted trees of 8 leaves on
    the features as they are, where NULLs take a side of their own at each split.
    l2: weight of the squared penalty on the standardised coefficients, a tenth of it that on the leaves; a finite number above
    0.

    Classes are not weighted: weights move the mean predicted probability away from the rate of churn. Trees stop at their fixed
    number, not early on rows drawn at random, and all runs on one thread: the same rows give the same model to the last bit.

    After `fit`: `calibrated_` (the frozen pipeline with its sigmoid), `background_` (rows of the fit, spread from its lowest to
    its highest score), `feature_names_in_`, `classes_`.

    References: J. Platt (1999), Probabilistic outputs for support vector machines, eqs. (1)–(2), for the sigmoid; J. Friedman
    (2001), Greedy function approximation: a gradient boosting machine, Ann. Stat. 29, algorithm 6.
    """

    def __init__(self, *, kind: str = LOGISTIC, l2: float = L2) -> None:
        self.kind = kind
        self.l2 = l2

    def fit(
        self, features: "pd.DataFrame", churned: "ArrayLike", *, later_features: "pd.DataFrame", later_churned: "ArrayLike"
    ) -> Self:
        """Fit on (rows, features) with labels (rows,) of 0 and 1, then calibrate on the later rows.

        Raises FeatureError for frames off the schema, ValueError for an invalid kind or l2, or unusable labels.
        """
        if self.kind not in KINDS:
            raise ValueError(f"ChurnModel: kind must be one of {', '.join(KINDS)}, not {self.kind!r}")
        if isinstance(self.l2, bool) or not isinstance(self.l2, int | float) or not 0 < self.l2 < float("inf"):
            raise ValueError(f"ChurnModel: l2 must be a finite number above 0, not {self.l2!r}")
        values, labels = matrix(features), _labels(churned, len(features), "fitted")
        later_values, later_labels = matrix(later_features), _labels(later_churned, len(later_features), "calibration")
        pipeline = _logistic(self.l2) if self.kind == LOGISTIC else _boosting(self.l2)
        with _one_thread():
            # Imputer and trees reject features that are NULL in every row; a constant carries no information either.
            pipeline.fit(np.where(np.isnan(values).all(axis=0), 0.0, values), labels)
            # All folds of a frozen estimator predict the same, so two folds suffice, and need fewer churned rows.
            self.calibrated_ = CalibratedClassifierCV(FrozenEstimator(pipeline), method="sigmoid", cv=2, ensemble=False).fit(
                later_values, later_labels
            )
            order = np.argsort(pipeline.decision_function(values), kind="stable")
        spread = np.linspace(0, len(order) - 1, min(_BACKGROUND_ROWS, len(order))).round().astype(int)
        self.background_ = values[order[spread]]
        self.feature_names_in_ = list(FEATURE_NAMES)
        self.classes_ = np.array([0, 1])
        return self

    def predict_proba(self, features: "pd.DataFrame") -> "NDArray[np.float64]":
        """Probabilities of staying and of churning, shape (rows, 2). Raises NotFittedError, FeatureError."""
        values = self.values(features)
        if not len(values):
            return np.empty((0, 2))
        with _one_thread():
            probabilities: NDArray[np.float64] = self.calibrated_.predict_proba(values)
        return probabilities

    def values(self, features: "pd.DataFrame") -> "NDArray[np.float64]":
        """Read the features that the model was fitted on, shape (rows, features). Raises NotFittedError, FeatureError."""
        check_is_fitted(self, "calibrated_")
        if self.feature_names_in_ != list(FEATURE_NAMES):
            names = sorted(set(self.feature_names_in_) ^ set(FEATURE_NAMES))
            raise FeatureError(f"churn features: the model was fitted on another schema, which differs in {names or 'order'}")
        return matrix(features)


def score(model: ChurnModel, frame: "pd.DataFrame") -> "pd.DataFrame":
    """Score each row of the frame and explain the score, in the order of the key.

    Columns: as_of_date, account_id, churn_probability in [0, 1], and `<indicator>_contribution` for each of the six indicators,
    in log-odds against the rows of the fit (see `reasons`); the rest is the contribution of the account's traits, not returned.

    Raises FeatureError for a frame off the schema, NotFittedError for a model that is not fitted.
    """
    frame = in_key_order(frame)
    found = reasons(model, frame)
    return frame[list(KEY)].assign(
        churn_probability=model.predict_proba(frame)[:, 1],
        **{f"{name}_contribution": found.contributions[:, position] for position, name in enumerate(INDICATORS)},
    )


def _logistic(l2: float) -> Pipeline:
    return make_pipeline(
        FunctionTransformer(signed_log),
        SimpleImputer(strategy="median", add_indicator=True),
        StandardScaler(),
        LogisticRegression(C=1 / l2, solver="newton-cholesky", tol=1e-8),
    )


def _boosting(l2: float) -> Pipeline:
    # Leaves of at least 40 rows: some hundreds of churns cannot carry finer ones. 64 bins fit as well as 255, in half the time.
    return make_pipeline(
        HistGradientBoostingClassifier(
            learning_rate=0.1,
            max_iter=60,
            max_leaf_nodes=8,
            min_samples_leaf=40,
            max_bins=64,
            l2_regularization=_LEAF_SHARE * l2,
            early_stopping=False,
            random_state=0,
        )
    )


def _one_thread() -> AbstractContextManager[Any]:
    """Keep sums in one order; and some ten thousand rows are done sooner than a second thread is up."""
    limited: AbstractContextManager[Any] = _threads().limit(limits=1)
    return limited


@cache
def _threads() -> ThreadpoolController:
    return ThreadpoolController()


def _labels(churned: "ArrayLike", rows: int, which: str) -> "NDArray[np.int64]":
    """Read the labels as integers; ValueError unless there is one for each row, 0 or 1, at least two of each."""
    values = np.asarray(churned, dtype=np.float64)
    if values.shape != (rows,) or not np.isin(values, (0, 1)).all():
        raise ValueError(f"ChurnModel: the labels of the {which} rows must be {rows} times 0 or 1")
    fewest = min(int((values == label).sum()) for label in (0, 1))
    if fewest < 2:
        raise ValueError(f"ChurnModel: the {which} rows need at least two labels of each kind, and one kind has {fewest}")
    return values.astype(np.int64)
