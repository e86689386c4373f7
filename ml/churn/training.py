"""Training of the churn model: slices of time, a fit, its figures beside its rivals', and the verdict.

Belongs here: which rows teach, calibrate and judge a model. Does not belong here: the estimator (`model`), the figures'
arithmetic (`evaluation`), storing anything (`artifact`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, cast

import numpy as np

from ml.churn.evaluation import Metrics, evaluate, gain_interval, log_losses
from ml.churn.features import FeatureError, in_key_order, matrix, numbers, require_column
from ml.churn.model import ChurnModel

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

# The share of the closed dates that the calibration and the test slice each take at least: one in five.
_DATES_PER_LATER_DATE = 5

# The usual alarm of growth teams: the last week ran at less than 70 % of the month before.
_RULE_USAGE_RATIO = 0.7


@dataclass(frozen=True)
class Slice:
    """Rows of consecutive as-of dates; accounts are counted once, however many dates they stand in."""

    name: str
    dates: tuple[date, ...]
    rows: int
    churned_rows: int
    churned_accounts: int
    staying_accounts: int


class NotEnoughHistory(ValueError):  # noqa: N818 - not a fault: the caller decides what a young installation does without a model
    """Too few closed dates for three slices, or too few churns in one of them.

    slices: those that were found, newest first; minimum_churns: what each would have needed; closed_dates: how many there were.
    """

    def __init__(self, slices: tuple[Slice, ...], *, closed_dates: int, minimum_churns: int) -> None:
        self.slices, self.closed_dates, self.minimum_churns = slices, closed_dates, minimum_churns
        found = ", ".join(
            f"{part.name}: {len(part.dates)} dates, {part.churned_accounts} churned and {part.staying_accounts} staying accounts"
            for part in slices
        )
        super().__init__(
            f"not enough history for a churn model: {closed_dates} closed as-of dates give {found or 'no slice'}; "
            f"three slices with at least {minimum_churns} churned and as many staying accounts each are needed"
        )


@dataclass(frozen=True)
class Decision:
    """The verdict: accepted only when the log-loss is below every rival's. `rivals` are their log-losses on the same rows."""

    accepted: bool
    reason: str
    log_loss: float
    rivals: dict[str, float]


@dataclass(frozen=True)
class TrainingResult:
    """A fitted model with what it was fitted on and how it did on the newest closed dates.

    slices: fit, calibration and test. open_rows: rows left out because their label is not closed yet.
    baselines: base_rate (the fit slice's rate of churn for everyone), recent_rate (the calibration slice's) and usage_rule (the
    fit slice's rates below and above a usage ratio of 0.7), each judged as the model is.
    log_loss_gain: base_rate's mean log-loss minus the model's, with its 90 % interval (bootstrap over accounts).
    """

    model: ChurnModel
    label_window_days: int
    minimum_churns: int
    seed: int
    slices: tuple[Slice, Slice, Slice]
    open_rows: int
    metrics: Metrics
    baselines: dict[str, Metrics]
    log_loss_gain: float
    log_loss_gain_interval: tuple[float, float]
    decision: Decision


def train(
    frame: "pd.DataFrame",
    *,
    label_window_days: int = 30,
    minimum_churns: int = 50,
    seed: int = 0,
    l2: float = 1.0,
    champion: ChurnModel | None = None,
) -> TrainingResult:
    """Fit, calibrate and judge a model on three slices of time.

    frame: one row per (as_of_date, account_id) with the features of `ml.churn.features` and `churned`: 1 or 0 once the label
    window (as_of_date, as_of_date + label_window_days] has passed, NULL before. A date is closed as a whole.
    minimum_churns: distinct churned accounts, and staying ones, that each slice needs; at least 2. At 50 the standard error of an
    AUC is near 0.04: fewer cannot tell a model from chance.
    seed: of the bootstrap interval; the fit itself draws nothing.
    champion: the model now in use, judged on the same test rows; the new one must beat it too.

    A model that does not beat its rivals is returned with a refusal in `decision`. Raises FeatureError for a frame off the
    schema, NotEnoughHistory, ValueError for a parameter out of range.
    """
    if label_window_days < 1 or minimum_churns < 2:
        raise ValueError(
            f"train: label_window_days {label_window_days} must be at least 1, minimum_churns {minimum_churns} at least 2"
        )
    frame = in_key_order(frame)
    matrix(frame)  # rows that are not used must fit the schema too: they are tomorrow's
    labels = numbers(frame, "churned", nullable=True)
    _check_labels(frame, labels)
    closed = ~np.isnan(labels)
    labelled = frame.loc[closed].assign(churned=labels[closed].astype(np.int64)).reset_index(drop=True)

    slices = split(labelled, label_window_days=label_window_days, minimum_churns=minimum_churns)
    dates = labelled["as_of_date"].to_numpy().astype("datetime64[D]")
    fit, calibration, test = (labelled.loc[np.isin(dates, np.array(part.dates, dtype="datetime64[D]"))] for part in slices)
    model = ChurnModel(l2=l2).fit(
        fit, fit["churned"].to_numpy(), later_features=calibration, later_churned=calibration["churned"].to_numpy()
    )

    truth = test["churned"].to_numpy()
    predicted = model.predict_proba(test)[:, 1]
    guesses = {
        "base_rate": np.full(len(test), fit["churned"].mean()),
        "recent_rate": np.full(len(test), calibration["churned"].mean()),
        "usage_rule": _usage_rule(fit, test),
    }
    baselines = {name: evaluate(truth, guess) for name, guess in guesses.items()}
    metrics = evaluate(truth, predicted)
    rivals = {name: baselines[name].log_loss for name in ("base_rate", "recent_rate")}
    if champion is not None:
        rivals["champion"] = evaluate(truth, champion.predict_proba(test)[:, 1]).log_loss
    gains = log_losses(truth, guesses["base_rate"]) - log_losses(truth, predicted)
    return TrainingResult(
        model=model,
        label_window_days=label_window_days,
        minimum_churns=minimum_churns,
        seed=seed,
        slices=slices,
        open_rows=int((~closed).sum()),
        metrics=metrics,
        baselines=baselines,
        log_loss_gain=float(gains.mean()),
        log_loss_gain_interval=gain_interval(gains, test["account_id"].to_numpy(dtype=object), seed=seed),
        decision=decide(metrics.log_loss, rivals),
    )


def split(labelled: "pd.DataFrame", *, label_window_days: int, minimum_churns: int) -> tuple[Slice, Slice, Slice]:
    """Divide into fit, calibration and test slice the dates of a frame with as_of_date, account_id and churned (0 or 1).

    The test slice is the newest dates: one in five of all, or more until it holds minimum_churns churned and staying accounts.
    The calibration slice is chosen likewise from the dates whose label window ends on or before the test slice's first date, and
    the fit slice is all dates that are so far ahead of the calibration slice. Dates in the gaps are used by none.
    Raises NotEnoughHistory.
    """
    dates = np.unique(labelled["as_of_date"].to_numpy().astype("datetime64[D]"))
    at_least = max(1, len(dates) // _DATES_PER_LATER_DATE)
    window = np.timedelta64(label_window_days, "D")
    found: list[Slice] = []
    free = dates
    for name in ("test", "calibration", "fit"):
        if not len(free):
            break
        first = free[0] if name == "fit" else _newest(labelled, free, at_least, minimum_churns)
        found.append(_slice(labelled, name, free[free >= first]))
        free = free[free + window <= first]
    if len(found) < 3 or any(min(part.churned_accounts, part.staying_accounts) < minimum_churns for part in found):
        raise NotEnoughHistory(tuple(found), closed_dates=len(dates), minimum_churns=minimum_churns)
    test, calibration, fit = found
    return fit, calibration, test


def decide(log_loss: float, rivals: Mapping[str, float]) -> Decision:
    """Accept when the log-loss is below every rival's, all in nats per row on the same rows; the reason names the figures."""
    lost = [name for name, theirs in rivals.items() if not log_loss < theirs]
    figures = ", ".join(f"{name} {theirs:.5f}" for name, theirs in rivals.items())
    verdict = f"refused: not below {' and '.join(lost)}" if lost else "accepted"
    return Decision(not lost, f"{verdict}; log-loss {log_loss:.5f} on the test slice, {figures}", log_loss, dict(rivals))


def _check_labels(frame: "pd.DataFrame", labels: "NDArray[np.float64]") -> None:
    known = ~np.isnan(labels)
    if not np.isin(labels[known], (0, 1)).all():
        raise FeatureError("churn features: column 'churned' must be 0, 1 or NULL")
    # A label that closes early closes on a churn: a date of which only those were known would look far worse than it was.
    share = require_column(frame, "churned").notna().groupby(frame["as_of_date"]).mean()
    mixed = share.index[(share > 0) & (share < 1)]
    if len(mixed):
        raise FeatureError(
            f"churn features: column 'churned' is NULL for some accounts of {mixed[0]:%Y-%m-%d} and known for others"
        )


def _newest(labelled: "pd.DataFrame", free: "NDArray[np.datetime64]", at_least: int, minimum_churns: int) -> "np.datetime64":
    """Find the latest first date with which a slice up to the last free date is large enough, else the first free date."""
    inside = labelled.loc[labelled["as_of_date"] <= free[-1]]
    first = free[-min(at_least, len(free))]
    for label in (0, 1):
        accounts = inside.loc[inside["churned"] == label].groupby("account_id")["as_of_date"].max()
        seen = np.sort(accounts.to_numpy().astype("datetime64[D]"))
        if len(seen) < minimum_churns:
            return cast("np.datetime64", free[0])
        first = min(first, seen[-minimum_churns])
    return cast("np.datetime64", first)


def _slice(labelled: "pd.DataFrame", name: str, dates: "NDArray[np.datetime64]") -> Slice:
    inside = labelled.loc[labelled["as_of_date"].between(dates[0], dates[-1])]
    churned = inside["churned"] == 1
    return Slice(
        name=name,
        dates=tuple(cast("list[date]", dates.tolist())),
        rows=len(inside),
        churned_rows=int(churned.sum()),
        churned_accounts=int(inside.loc[churned, "account_id"].nunique()),
        staying_accounts=int(inside.loc[~churned, "account_id"].nunique()),
    )


def _usage_rule(fit: "pd.DataFrame", test: "pd.DataFrame") -> "NDArray[np.float64]":
    """Predict the fit slice's churn rate on the row's side of the rule; a NULL ratio does not trip it.

    One churned and one staying row are added to each side (Laplace), so that an empty side is not certain of anything.
    """
    tripped, tripped_test = (numbers(part, "usage_ratio", nullable=True) < _RULE_USAGE_RATIO for part in (fit, test))
    churned = fit["churned"].to_numpy()
    below, above = ((churned[side].sum() + 1) / (side.sum() + 2) for side in (tripped, ~tripped))
    return np.where(tripped_test, float(below), float(above))
