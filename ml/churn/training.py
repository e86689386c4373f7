"""Training of the churn model: candidates, the choice among them, the winner's figures and the verdict.

Belongs here: fitting, selecting, judging and refusing models. Does not belong here: the estimator (`model`), dividing dates
(`slices`), computing figures (`evaluation`), repeating it at earlier origins (`rolling`), storing anything (`artifact`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ml.churn.drift import reference
from ml.churn.evaluation import (
    Calibration,
    Intervention,
    Metrics,
    Ranking,
    evaluate,
    gain_interval,
    judge_calibration,
    judge_ranking,
    log_losses,
)
from ml.churn.features import FEATURE_NAMES, FeatureError, in_key_order, matrix, numbers, require_column
from ml.churn.model import KINDS, L2, LOGISTIC, ChurnModel
from ml.churn.rolling import ORIGINS, RollingOrigin, rolling_origin
from ml.churn.slices import CHOSEN_AND_JUDGED, JUDGED, NotEnoughHistory, Slice, days, describe, rows, split

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

# The AUC of a single feature above which it is taken to know the label: an overdue payment or a fall of usage by itself stays
# well below, a column that is filled in after the churn is near 1. With 15 churns of 150 rows the standard error is 0.03.
SUSPICIOUS_AUC = 0.95

# Calibration refuses a model when it is off beyond chance and by an amount that matters: an intercept of 0.2 puts the odds off
# by a fifth, and so does a slope, between accounts whose log-odds differ by 1. At 15 churns the standard
# error of an intercept is 0.26, so that the test decides; at thousands it finds what is too small to matter.
CALIBRATION_LEVEL = 0.01
CALIBRATION_TOLERANCE = 0.2

# On a simulated company's features, 15 to 20 churned accounts in each slice: of 119 trainings on churns that nothing foretold,
# 25 had a lower log-loss than both rates and 2 passed this test too; of 41 on churns drawn from planted hazards, 40 passed
# both.
RANKING_LEVEL = 0.01


class SuspiciousFeatures(ValueError):  # noqa: N818 - says what was found
    """Features that leak the label, which would make the model look better than it is. `found`: their AUCs by name."""

    def __init__(self, found: Mapping[str, float]) -> None:
        self.found = dict(found)
        named = ", ".join(f"{name} (AUC {auc:.3f})" for name, auc in found.items())
        super().__init__(f"churn features that seem to know the label, by themselves above an AUC of {SUSPICIOUS_AUC}: {named}")


@dataclass(frozen=True)
class Choice:
    """The chosen kind of model, and the reason.

    slices: fit, calibration and choice. figures: each candidate's on the choice slice. Both are empty if history is too short to
    choose; the logistic regression, which needs the fewest churns, is then the only candidate.
    """

    kind: str
    reason: str
    slices: tuple[Slice, ...]
    figures: dict[str, Metrics]


@dataclass(frozen=True)
class Decision:
    """The verdict; see `decide`. `rivals`: their log-losses on the same rows; all other figures are the model's."""

    accepted: bool
    reason: str
    log_loss: float
    rivals: dict[str, float]
    calibration: Calibration
    ranking: Ranking


@dataclass(frozen=True)
class TrainingResult:
    """A fitted model with its training data and its figures on the newest closed dates.

    slices: fit, calibration and test of this model. open_rows: rows excluded because their label is not closed yet.
    baselines: base_rate (churn rate of the fit slice), recent_rate (that of the calibration slice) and usage_rule (rates of the
    fit slice by is_usage_down), each judged like the model.
    log_loss_gain: base_rate's mean log-loss minus the model's, with its 90 % interval (bootstrap over accounts).
    reference: distributions for `drift`: features of the fit and calibration slices, scores of the calibration slice.
    """

    model: ChurnModel
    label_window_days: int
    minimum_churns: int
    seed: int
    intervention: Intervention
    choice: Choice
    slices: tuple[Slice, ...]
    open_rows: int
    metrics: Metrics
    baselines: dict[str, Metrics]
    log_loss_gain: float
    log_loss_gain_interval: tuple[float, float]
    decision: Decision
    rolling: RollingOrigin
    reference: dict[str, Any]


def train(
    frame: "pd.DataFrame",
    *,
    label_window_days: int = 30,
    minimum_churns: int = 50,
    seed: int = 0,
    l2: float = L2,
    champion: ChurnModel | None = None,
    intervention: Intervention | None = None,
    origins: int = ORIGINS,
) -> TrainingResult:
    """Select, fit, calibrate and judge a model on slices of time.

    The four slices lie a label window apart. Candidates are fitted on the first and calibrated on the second; the lowest log-loss
    on the third wins, and the logistic regression wins ties. The winner is fitted again on all rows that end a label window
    before the third slice, and calibrated on the third, so selection costs no recent rows. The fourth slice only judges it. A
    history too short for four slices gets three, with the logistic regression as the only candidate.

    frame: one row per (as_of_date, account_id) with the features of `ml.churn.features` and `churned`: 1 or 0 once the label
    window (as_of_date, as_of_date + label_window_days] has passed, NULL before. All rows of a date close together.
    minimum_churns: minimum number of distinct churned accounts, and of retained ones, per slice; at least 2. At 50 the standard
    error of an AUC is about 0.04; with fewer a model cannot be distinguished from chance.
    seed: of the bootstrap interval; the fit is deterministic.
    champion: the current model, judged on the same test rows; the new one must beat it too.
    intervention: prices for `evaluation.money_saved`; no influence on the verdict.
    origins: maximum number of earlier origins to refit; see `rolling`.

    A model that does not beat its rivals or is badly calibrated is returned with a refusal in `decision`. Raises FeatureError
    for a frame that violates the schema, NotEnoughHistory, SuspiciousFeatures, and ValueError for a parameter out of range.
    """
    if label_window_days < 1 or minimum_churns < 2 or origins < 0:
        raise ValueError(
            f"train: label_window_days {label_window_days} must be at least 1, minimum_churns {minimum_churns} at least 2, "
            f"origins {origins} at least 0"
        )
    intervention = intervention or Intervention()
    frame = in_key_order(frame)
    matrix(frame)  # unused rows must fit the schema too: they will be used later
    labels = numbers(frame, "churned", nullable=True)
    _check_labels(frame, labels)
    closed = ~np.isnan(labels)
    labelled = frame.loc[closed].assign(churned=labels[closed].astype(np.int64)).reset_index(drop=True)

    try:
        fit_slice, calibration_slice, choice_slice, test_slice = split(
            labelled, CHOSEN_AND_JUDGED, label_window_days=label_window_days, minimum_churns=minimum_churns
        )
    except NotEnoughHistory as too_short:
        slices = split(labelled, JUDGED, label_window_days=label_window_days, minimum_churns=minimum_churns)
        _refuse_suspicious(rows(labelled, slices[1]))
        choice = Choice(LOGISTIC, f"the only candidate: {too_short}", (), {})
    else:
        _refuse_suspicious(rows(labelled, choice_slice))
        choice = _choose(labelled, (fit_slice, calibration_slice, choice_slice), l2=l2)
        dates = np.unique(days(labelled))
        before = dates[dates + np.timedelta64(label_window_days, "D") <= np.datetime64(choice_slice.dates[0])]
        slices = (
            describe(labelled, JUDGED[0], before),
            describe(labelled, JUDGED[1], np.array(choice_slice.dates, dtype="datetime64[D]")),
            test_slice,
        )
    fit, calibration, test = (rows(labelled, part) for part in slices)
    model = _fitted(choice.kind, l2, fit, calibration)

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
    accounts = test["account_id"].to_numpy(dtype=object)
    gains = log_losses(truth, guesses["base_rate"]) - log_losses(truth, predicted)
    return TrainingResult(
        model=model,
        label_window_days=label_window_days,
        minimum_churns=minimum_churns,
        seed=seed,
        intervention=intervention,
        choice=choice,
        slices=slices,
        open_rows=int((~closed).sum()),
        metrics=metrics,
        baselines=baselines,
        log_loss_gain=float(gains.mean()),
        log_loss_gain_interval=gain_interval(gains, accounts, seed=seed),
        decision=decide(
            metrics.log_loss, rivals, judge_calibration(truth, predicted, accounts), judge_ranking(truth, predicted, accounts)
        ),
        rolling=rolling_origin(
            labelled,
            kind=choice.kind,
            l2=l2,
            label_window_days=label_window_days,
            minimum_churns=minimum_churns,
            intervention=intervention,
            at_most=origins,
        ),
        reference=reference(labelled.loc[fit.index.union(calibration.index)], model.predict_proba(calibration)[:, 1]),
    )


def decide(log_loss: float, rivals: Mapping[str, float], found: Calibration, ranking: Ranking) -> Decision:
    """Accept a model with a lower log-loss than every rival, a ranking better than chance and acceptable calibration.

    The reason states the figures. Log-losses are in nats per row, on the same rows.

    Ranking: the hypothesis that the AUC is at most 0.5 (see `judge_ranking`) must be rejected at RANKING_LEVEL.
    Calibration fails if Cox's test (see `judge_calibration`) rejects it at CALIBRATION_LEVEL and the intercept is farther than
    CALIBRATION_TOLERANCE from 0, or the slope from 1. The comparison is with perfect calibration, not with a rival's error:
    between two calibrated models a few dozen churns decide by chance whose error is smaller.
    """
    lost = [name for name, theirs in rivals.items() if not log_loss < theirs]
    far = [
        abs(figure - perfect) > CALIBRATION_TOLERANCE
        for figure, perfect in ((found.intercept, 0), (found.slope, 1))
        if figure is not None
    ]
    is_off = any(far) and not found.p_value >= CALIBRATION_LEVEL
    is_chance = not ranking.p_value < RANKING_LEVEL
    refusals = [f"not below {' and '.join(lost)}"] * bool(lost)
    refusals += ["churns are not ranked beyond chance"] * is_chance + ["calibration is off"] * is_off
    intercept, slope, auc = (
        "none" if figure is None else f"{figure:.3f}" for figure in (found.intercept, found.slope, ranking.auc)
    )
    figures = [f"log-loss {log_loss:.5f} on the test slice", *(f"{name} {theirs:.5f}" for name, theirs in rivals.items())]
    figures.append(f"AUC {auc}, p {ranking.p_value:.2g}")
    figures.append(f"calibration intercept {intercept} and slope {slope}, p {found.p_value:.2g}")
    verdict = f"refused: {', '.join(refusals)}" if refusals else "accepted"
    return Decision(not refusals, f"{verdict}; {', '.join(figures)}", log_loss, dict(rivals), found, ranking)


def suspicious_features(
    features: "pd.DataFrame", churned: "NDArray[np.int64]", *, bound: float = SUSPICIOUS_AUC
) -> dict[str, float]:
    """Return the features whose own AUC exceeds the bound in either direction, with that AUC.

    NULLs rank below or above all values, whichever gives the higher AUC, so a column filled only for churned accounts is found.
    churned: shape (rows,), 0 or 1. Raises FeatureError for a frame that violates the schema.
    """
    from sklearn.metrics import roc_auc_score

    if not 0 < churned.sum() < len(churned):
        return {}
    found = {}
    for name, column in zip(FEATURE_NAMES, matrix(features).T, strict=True):
        limit = np.finfo(np.float64).max
        ends = (limit, -limit) if np.isnan(column).any() else (0.0,)
        auc = max(0.5 + abs(float(roc_auc_score(churned, np.nan_to_num(column, nan=end))) - 0.5) for end in ends)
        if auc > bound:
            found[name] = auc
    return found


def _refuse_suspicious(part: "pd.DataFrame") -> None:
    found = suspicious_features(part, part["churned"].to_numpy())
    if found:
        raise SuspiciousFeatures(found)


def _choose(labelled: "pd.DataFrame", slices: tuple[Slice, Slice, Slice], *, l2: float) -> Choice:
    """Fit and calibrate each kind on the first two slices; the lowest log-loss on the third wins, at a tie the earlier kind."""
    fit, calibration, judged = (rows(labelled, part) for part in slices)
    truth = judged["churned"].to_numpy()
    figures = {kind: evaluate(truth, _fitted(kind, l2, fit, calibration).predict_proba(judged)[:, 1]) for kind in KINDS}
    kind = min(KINDS, key=lambda each: figures[each].log_loss)
    losses = ", ".join(f"{each} {metrics.log_loss:.5f}" for each, metrics in figures.items())
    return Choice(kind, f"the lowest log-loss on the choice slice: {losses}", slices, figures)


def _fitted(kind: str, l2: float, fit: "pd.DataFrame", calibration: "pd.DataFrame") -> ChurnModel:
    return ChurnModel(kind=kind, l2=l2).fit(
        fit, fit["churned"].to_numpy(), later_features=calibration, later_churned=calibration["churned"].to_numpy()
    )


def _check_labels(frame: "pd.DataFrame", labels: "NDArray[np.float64]") -> None:
    known = ~np.isnan(labels)
    if not np.isin(labels[known], (0, 1)).all():
        raise FeatureError("churn features: column 'churned' must be 0, 1 or NULL")
    # Labels that close early are churns: a date with only those known would look far worse than it was.
    share = require_column(frame, "churned").notna().groupby(frame["as_of_date"]).mean()
    mixed = share.index[(share > 0) & (share < 1)]
    if len(mixed):
        raise FeatureError(
            f"churn features: column 'churned' is NULL for some accounts of {mixed[0]:%Y-%m-%d} and known for others"
        )


def _usage_rule(fit: "pd.DataFrame", test: "pd.DataFrame") -> "NDArray[np.float64]":
    """Predict the churn rate of the fit slice by is_usage_down, the usual alarm of growth teams.

    One churned and one retained row are added to each side (Laplace), so no rate is 0 or 1.
    """
    tripped, tripped_test = (numbers(part, "is_usage_down", nullable=False) == 1 for part in (fit, test))
    churned = fit["churned"].to_numpy()
    down, not_down = ((churned[side].sum() + 1) / (side.sum() + 2) for side in (tripped, ~tripped))
    return np.where(tripped_test, float(down), float(not_down))
