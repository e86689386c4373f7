"""The churn estimator and its scoring.

Belongs here: from features to probabilities. Does not belong here: which rows it is fitted on (`training`), how good it is
(`evaluation`), how it is kept (`artifact`).
"""

from typing import TYPE_CHECKING, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils.validation import check_is_fitted

from ml.churn.features import FEATURE_NAMES, KEY, FeatureError, in_key_order, matrix

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike, NDArray


def signed_log(values: "NDArray[np.float64]") -> "NDArray[np.float64]":
    """sign(x) · log(1 + |x|): counts and money span decades, and days to a renewal may lie in the past."""
    return np.sign(values) * np.log1p(np.abs(values))


class ChurnModel(BaseEstimator):  # type: ignore[misc]
    """Regularised logistic regression on log-scaled features, with Platt's calibration on later rows.

    NULLs become the median of the fitted rows plus an indicator column for each feature that was NULL in them. Classes are not
    weighted: weights move the mean predicted probability away from the rate of churn. Nothing is drawn at random.

    l2: weight of the squared penalty on the standardised coefficients, a finite number above 0.

    After `fit`: `calibrated_` (the frozen pipeline with its sigmoid), `feature_names_in_`, `classes_`.

    Reference: J. Platt (1999), Probabilistic outputs for support vector machines, eqs. (1)–(2), for the sigmoid.
    """

    def __init__(self, *, l2: float = 1.0) -> None:
        self.l2 = l2

    def fit(
        self, features: "pd.DataFrame", churned: "ArrayLike", *, later_features: "pd.DataFrame", later_churned: "ArrayLike"
    ) -> Self:
        """Fit on (rows, features) with labels (rows,) of 0 and 1, then calibrate on the later rows.

        Raises FeatureError for frames off the schema, ValueError for an l2, or labels, of which nothing can be learnt.
        """
        if isinstance(self.l2, bool) or not isinstance(self.l2, int | float) or not 0 < self.l2 < float("inf"):
            raise ValueError(f"ChurnModel: l2 must be a finite number above 0, not {self.l2!r}")
        pipeline = make_pipeline(
            FunctionTransformer(signed_log),
            SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
            StandardScaler(),
            LogisticRegression(C=1 / self.l2, tol=1e-8, max_iter=1000),
        )
        pipeline.fit(matrix(features), _labels(churned, len(features), "fitted"))
        # Every fold of a frozen estimator predicts the same, so two folds give what five would, and need fewer churned rows.
        self.calibrated_ = CalibratedClassifierCV(FrozenEstimator(pipeline), method="sigmoid", cv=2, ensemble=False).fit(
            matrix(later_features), _labels(later_churned, len(later_features), "calibration")
        )
        self.feature_names_in_ = list(FEATURE_NAMES)
        self.classes_ = np.array([0, 1])
        return self

    def predict_proba(self, features: "pd.DataFrame") -> "NDArray[np.float64]":
        """Probabilities of staying and of churning, shape (rows, 2). Raises NotFittedError, FeatureError."""
        check_is_fitted(self, "calibrated_")
        if self.feature_names_in_ != list(FEATURE_NAMES):
            names = sorted(set(self.feature_names_in_) ^ set(FEATURE_NAMES))
            raise FeatureError(f"churn features: the model was fitted on another schema, which differs in {names or 'order'}")
        values = matrix(features)
        if not len(values):
            return np.empty((0, 2))
        probabilities: NDArray[np.float64] = self.calibrated_.predict_proba(values)
        return probabilities


def score(model: ChurnModel, frame: "pd.DataFrame") -> "pd.DataFrame":
    """Give one row (as_of_date, account_id, churn_probability in [0, 1]) per row of the frame, in the order of the key.

    Raises FeatureError for a frame off the schema, NotFittedError for a model that has learnt nothing.
    """
    frame = in_key_order(frame)
    return frame[list(KEY)].assign(churn_probability=model.predict_proba(frame)[:, 1])


def _labels(churned: "ArrayLike", rows: int, which: str) -> "NDArray[np.int64]":
    """Read the labels as integers; ValueError unless there is one for each row, 0 or 1, at least two of each."""
    values = np.asarray(churned, dtype=np.float64)
    if values.shape != (rows,) or not np.isin(values, (0, 1)).all():
        raise ValueError(f"ChurnModel: the labels of the {which} rows must be {rows} times 0 or 1")
    fewest = min(int((values == label).sum()) for label in (0, 1))
    if fewest < 2:
        raise ValueError(f"ChurnModel: the {which} rows need at least two labels of each kind, and one kind has {fewest}")
    return values.astype(np.int64)
