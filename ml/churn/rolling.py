"""Evaluation by rolling origin: the same training repeated at earlier days, each time judged on the following window.

Belongs here: origins, their windows and the pooled figures. Does not belong here: the figures' arithmetic (`evaluation`),
or any part in the verdict (`training`): these figures say how steady the model is, not whether it is promoted.

Reference: L. Tashman (2000), Out-of-sample tests of forecasting accuracy, Int. J. Forecasting 16, §3, recalibrated origins.
"""

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, cast

import numpy as np

from ml.churn.evaluation import Intervention, Metrics, Money, evaluate, log_losses, money_saved
from ml.churn.features import numbers
from ml.churn.model import ChurnModel
from ml.churn.slices import TAUGHT, NotEnoughHistory, Slice, days, rows, split

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

# Each origin costs a fit; four windows of 30 days look back a third of a year.
ORIGINS = 4


@dataclass(frozen=True)
class Origin:
    """One refit and the closed window of as-of dates that it was judged on.

    taught: its fit and calibration slice, whose label windows end on or before the window's first date. base_rate_log_loss: of
    its fit slice's rate for everyone. money: of the window's first date alone, since a churn stands in all dates of a window.
    """

    window_from: date
    window_to: date
    taught: tuple[Slice, ...]
    metrics: Metrics
    base_rate_log_loss: float
    money: Money


@dataclass(frozen=True)
class Pooled:
    """Figures over the rows of all windows together, each predicted by its own origin's model; the money is added up."""

    metrics: Metrics
    base_rate_log_loss: float
    money: Money


@dataclass(frozen=True)
class RollingOrigin:
    """Origins, newest first, and their pooled figures; neither when history is too short for one origin."""

    origins: tuple[Origin, ...]
    pooled: Pooled | None


def rolling_origin(
    labelled: "pd.DataFrame",
    *,
    kind: str,
    l2: float,
    label_window_days: int,
    minimum_churns: int,
    intervention: Intervention,
    at_most: int = ORIGINS,
) -> RollingOrigin:
    """Refit at up to `at_most` origins and judge each on the label window's length of as-of dates that follows.

    labelled: rows of closed dates in the order of the key, churned 0 or 1. The windows lie end to end from the newest closed
    date backwards; the one at which too little history is left to learn from ends the walk.
    """
    dates = days(labelled)
    window = np.timedelta64(label_window_days, "D")
    origins: list[Origin] = []
    pools: list[tuple[NDArray[np.int64], NDArray[np.float64], float]] = []
    last = dates.max()
    while len(origins) < at_most:
        inside = dates[(dates > last - window) & (dates <= last)]
        if not len(inside):
            break
        first = inside.min()
        try:
            taught = split(
                labelled.loc[dates + window <= first], TAUGHT, label_window_days=label_window_days, minimum_churns=minimum_churns
            )
        except NotEnoughHistory:
            break
        fit, calibration = (rows(labelled, part) for part in taught)
        model = ChurnModel(kind=kind, l2=l2).fit(
            fit, fit["churned"].to_numpy(), later_features=calibration, later_churned=calibration["churned"].to_numpy()
        )
        judged = labelled.loc[(dates >= first) & (dates <= last)]
        truth, predicted = judged["churned"].to_numpy(), model.predict_proba(judged)[:, 1]
        rate = float(fit["churned"].mean())
        once = days(judged) == first
        mrr = numbers(judged, "mrr_usd", nullable=False)
        origins.append(
            Origin(
                window_from=cast("date", first.item()),
                window_to=cast("date", inside.max().item()),
                taught=taught,
                metrics=evaluate(truth, predicted),
                base_rate_log_loss=float(log_losses(truth, np.full(len(truth), rate)).mean()),
                money=money_saved(truth[once], predicted[once], mrr[once], intervention),
            )
        )
        pools.append((truth, predicted, rate))
        last = last - window
    if not origins:
        return RollingOrigin((), None)
    truth, predicted = (np.concatenate([pool[part] for pool in pools]) for part in (0, 1))
    rates = np.concatenate([np.full(len(pool[0]), pool[2]) for pool in pools])
    pooled = Pooled(
        evaluate(truth, predicted), float(log_losses(truth, rates).mean()), sum((each.money for each in origins), Money.nothing())
    )
    return RollingOrigin(tuple(origins), pooled)
