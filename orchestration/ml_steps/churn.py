"""The churn step: when to train, which model scores, and whether its scores are usable.

Belongs here: reading features, the reasons to train, the decision recorded in the model store, and the checks of scores. Does
not belong here: the model itself (`ml.churn`), and storing models (`model_store`).
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from orchestration.base.errors import NorthstarError
from orchestration.config.schema import Config
from orchestration.ml_steps import churn_page
from orchestration.ml_steps.model_store import ModelStore, StoredModel
from orchestration.ml_steps.step import CheckSpec, Finding, Outcome, Step, Task, Workbench

if TYPE_CHECKING:
    import pandas as pd

    from ml.churn.drift import Drift
    from ml.churn.model import ChurnModel

_logger = logging.getLogger("northstar.night")

CHURN = "churn"
"""Name of the step, and of the folder of its models."""

LABEL_WINDOW_DAYS = 30
# Drift is a reason to train again, but not every night: as-of dates of the training data are 8 days apart.
_DAYS_BETWEEN_TRAININGS = 7
# Churned accounts that each slice of time needs. At 15 the standard error of an AUC is near 0.07: precise enough to tell
# whether the model beats the base rate, which decides its promotion, and few enough for a company with about 200 paying
# accounts.
MINIMUM_CHURNS = 15

_SCORES = "churn_scores"
_MODEL = "churn_model"
_FEATURES = "int_churn__features"
_LABELS = "int_churn__labels"

# With fewer accounts, equal scores for all may be correct.
_ENOUGH_TO_DIFFER = 20
_DRIFT = "scores_have_not_drifted"
_CHECKS = {
    "scores_cover_every_paying_account": CheckSpec("Every account that pays on the last complete day has one score."),
    "scores_are_probabilities": CheckSpec("No score lies outside 0 to 1."),
    "scores_differ": CheckSpec(f"Of {_ENOUGH_TO_DIFFER} accounts and more not all have the same score."),
    _DRIFT: CheckSpec(
        "What is scored still looks like what the model learnt from; another is trained when it does not.", is_blocking=False
    ),
}


@dataclass(frozen=True)
class Trained:
    """Result of training: the model that scores, and why it was kept, promoted or is missing.

    card: of the model judged tonight, else of the current champion; empty without either. rows: account-dates in the training
    data.
    """

    model_version: str | None
    outcome: str
    card: Mapping[str, Any] = field(default_factory=dict)
    rows: int = 0

    @property
    def metrics(self) -> dict[str, float]:
        """The card's figures on the newest closed dates."""
        names = ("log_loss", "brier", "auc", "average_precision")
        metrics = self.card.get("metrics", {})
        return {name: metrics[name] for name in names if metrics.get(name) is not None}


@dataclass(frozen=True)
class Scored:
    """The champion's scores of paying accounts: number of accounts, number scored, and spread of the scores."""

    model_version: str | None
    accounts: int
    rows: int = 0
    lowest: float | None = None
    highest: float | None = None
    different: int = 0
    drift: "Drift | None" = None


@dataclass(frozen=True)
class _Champion:
    stored: StoredModel
    estimator: "ChurnModel"


class Churn(Step):
    """The churn step: trains a challenger when there is a reason, and scores every paying account with the champion."""

    name = CHURN
    stores_models = True

    @property
    def tasks(self) -> tuple[Task, ...]:
        """Train, then score."""
        trained = {_MODEL: "Predicts who stops paying within 30 days; challenged when a month begins or what it scores drifts."}
        scored = {
            _SCORES: "One row per account that pays on the last complete day: its probability to stop paying within 30 days."
        }
        return (
            Task("train", trained, (_FEATURES, _LABELS), train, kinds=frozenset({"scikitlearn"})),
            Task("score", scored, (_FEATURES,), score, follows=(_MODEL,), checks=_CHECKS),
        )

    def absence(self, models: ModelStore) -> str | None:
        """Without a promoted model there are no scores."""
        return "no churn model has earned its place yet" if models.champion() is None else None

    def model_version(self, models: ModelStore) -> str | None:
        """The champion."""
        champion = models.champion()
        return None if champion is None else champion.model_id

    def check(self, model: StoredModel) -> None:
        """Check the bytes and predict the golden rows again."""
        load_model(model)

    def pages(self, outcomes: Mapping[str, Outcome], models: ModelStore) -> Mapping[str, str]:
        """The champion as a page: its card, and the drift of the accounts scored tonight."""
        scored = outcomes.get("score")
        champion = models.champion()
        if scored is None or scored.missing or champion is None:
            return {}
        from ml.churn.drift import Drift

        drift = TypeAdapter(Drift).validate_python(scored.notes["drift"]) if "drift" in scored.notes else None
        return {f"{_MODEL}.html": churn_page.render(champion.card, drift)}


def train(bench: Workbench) -> Outcome:
    """Train a challenger when there is a reason; see `Training.train`."""
    from ml.churn import report

    trained = Training(bench.models, bench.config, bench.read).train(bench.data_through)
    return Outcome(
        rows=trained.rows,
        detail=trained.outcome,
        metadata={"model": trained.model_version or "none", "outcome": trained.outcome, **trained.metrics},
        report=report.markdown(trained.card) if trained.card else "",
    )


def score(bench: Workbench) -> Outcome:
    """Score every account paying on the last complete day with the champion, into `ml.churn_scores`."""
    scored, frame = Training(bench.models, bench.config, bench.read).score()
    rows = bench.write(_SCORES, frame)
    missing = "" if scored.model_version else "no model has earned its place yet"
    return Outcome(
        rows=rows,
        detail=f"model {scored.model_version}" if scored.model_version else "no model yet",
        tables={_SCORES: rows},
        missing=missing,
        findings=judge(scored),
        notes={} if scored.drift is None else {"drift": asdict(scored.drift)},
    )


def judge(scored: Scored) -> dict[str, Finding]:
    """Findings of each check on scores; without a model nothing was judged, which does not count as a pass."""
    if scored.model_version is None:
        return {name: Finding(passed=False, numbers={"left out": "no model has earned its place yet"}) for name in _CHECKS}
    lowest, highest = scored.lowest, scored.highest
    alarms = scored.drift.alarms if scored.drift else ()
    findings = (
        Finding(scored.rows == scored.accounts, {"scored": scored.rows, "paying": scored.accounts}),
        Finding(
            lowest is None or highest is None or 0 <= lowest <= highest <= 1,
            {} if lowest is None or highest is None else {"lowest": lowest, "highest": highest},
        ),
        Finding(
            scored.different > 1 or scored.rows < _ENOUGH_TO_DIFFER,
            {"different scores": scored.different, "scored": scored.rows},
        ),
        Finding(not alarms, {"drifted": ", ".join(alarms) or "nothing"}),
    )
    return dict(zip(_CHECKS, findings, strict=True))


class Training:
    """Champion and challengers of one home. read: rows of a query over the build file."""

    def __init__(self, models: ModelStore, config: Config, read: "Callable[[str], pd.DataFrame]") -> None:
        self._models = models
        self._config = config
        self._read = read

    def train(self, through: date) -> Trained:
        """Train a challenger when there is a reason, and promote it when it is better.

        through: last complete day of the features. Reasons: there is no model yet; a month has begun since the last decision
        about the champion; or the scored accounts have drifted from the training data, at the earliest a week after that
        decision. A night as of an earlier day trains nothing: it would replace a model trained on more data.
        """
        from ml.churn import artifact, slices, training
        from ml.churn.evaluation import Intervention

        champion = self._champion()
        reason = self._reason_to_train(champion, through)
        if champion is not None and reason is None:
            return Trained(champion.stored.model_id, f"kept: decided on data through {self._decided}", champion.stored.card)
        frame = self._features(labelled=True)
        try:
            result = training.train(
                frame,
                label_window_days=LABEL_WINDOW_DAYS,
                minimum_churns=MINIMUM_CHURNS,
                champion=None if champion is None else champion.estimator,
                intervention=Intervention(self._config.intervention_cost, self._config.intervention_success_rate),
            )
        except (slices.NotEnoughHistory, training.SuspiciousFeatures) as refusal:
            if champion is None:
                return Trained(None, f"none trained: {refusal}", rows=len(frame))
            return Trained(champion.stored.model_id, f"kept: {refusal}", champion.stored.card, rows=len(frame))
        data = artifact.dump(result.model)
        sha256 = artifact.digest(data)
        card = {
            **artifact.card(result, sha256=sha256),
            "trained_through": through.isoformat(),
            "trained_because": reason,
        }
        challenger = StoredModel(artifact.model_id(sha256), data, card, artifact.golden(result.model, frame))
        return replace(self._judge(challenger, champion, through), rows=len(frame))

    def _reason_to_train(self, champion: "_Champion | None", through: date) -> str | None:
        from ml.churn import drift

        if champion is None:
            return "there is no model yet"
        if self._decided.strftime("%Y-%m") < through.strftime("%Y-%m"):
            return "a month has begun"
        if (through - self._decided).days >= _DAYS_BETWEEN_TRAININGS:
            frame = self._features(labelled=False)
            drifted = drift.drift(frame, champion.estimator.predict_proba(frame)[:, 1], champion.stored.card["reference"]).alarms
            if drifted:
                return f"{', '.join(drifted)} drifted"
        return None

    def _judge(self, challenger: StoredModel, champion: "_Champion | None", through: date) -> Trained:
        decision = challenger.card["decision"]
        if decision["accepted"]:
            self._models.keep(challenger)
            self._models.promote(challenger.model_id, decided_through=through.isoformat(), reason=decision["reason"])
            return Trained(challenger.model_id, f"promoted: {decision['reason']}", challenger.card)
        self._models.confirm(decided_through=through.isoformat())
        self._models.refuse({"model_id": challenger.model_id, "decision": decision, "metrics": challenger.card["metrics"]})
        return Trained(None if champion is None else champion.stored.model_id, f"refused: {decision['reason']}", challenger.card)

    def score(self) -> "tuple[Scored, pd.DataFrame | None]":
        """Score every account paying on the last complete day; the scores are None without a champion."""
        champion = self._champion()
        frame = self._features(labelled=False)
        if champion is None:
            return Scored(None, accounts=len(frame)), None
        from ml.churn import drift
        from ml.churn import model as churn_model

        scores = churn_model.score(champion.estimator, frame).assign(model_version=champion.stored.model_id)
        probabilities = scores["churn_probability"].to_numpy()
        scored = Scored(
            champion.stored.model_id,
            accounts=len(frame),
            rows=len(scores),
            lowest=None if scores.empty else float(probabilities.min()),
            highest=None if scores.empty else float(probabilities.max()),
            different=scores["churn_probability"].nunique(),
            drift=drift.drift(frame, probabilities, champion.stored.card["reference"]),
        )
        return scored, scores

    def _champion(self) -> "_Champion | None":
        """The champion with its estimator; None without one, or if it needs features that no longer exist."""
        from ml.churn.artifact import OtherSchemaError

        stored = self._models.champion()
        if stored is None:
            return None
        try:
            return _Champion(stored, load_model(stored))
        except NorthstarError as error:
            if isinstance(error.__cause__, OtherSchemaError):
                _logger.warning("%s", error)
                return None
            raise

    @property
    def _decided(self) -> date:
        return date.fromisoformat(self._models.decided_through or "0001-01-01")

    def _features(self, *, labelled: bool) -> "pd.DataFrame":
        from ml.churn.features import FEATURE_NAMES

        names = ", ".join(f'features."{name}"' for name in FEATURE_NAMES)
        query = f"select features.as_of_date, features.account_id, {names}"
        if labelled:
            query += """, labels.churned
                from intermediate.int_churn__features as features
                left join intermediate.int_churn__labels as labels using (as_of_date, account_id)
                order by as_of_date, account_id"""
        else:
            query += " from intermediate.int_churn__features as features where features.is_current order by account_id"
        return self._read(query)


def load_model(stored: StoredModel) -> "ChurnModel":
    """The estimator of a stored churn model, after checking its bytes and golden rows; NorthstarError if they differ."""
    from ml.churn import artifact

    try:
        model = artifact.load(stored.artifact, sha256=str(stored.card["sha256"]))
        artifact.check_golden(model, stored.golden)
    except artifact.ArtifactError as error:
        raise NorthstarError(str(error)) from error
    return model
