"""The churn model in a night: when it is trained, which one scores, and where its scores go.

Belongs here: features read from the warehouse, the reasons to train, the decision kept in the registry, scores written. Does not
belong here: the model itself (`ml.churn`), how models are stored (`model_store`), or the order of the night (`night`).
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import TYPE_CHECKING, Any

from orchestration.base.errors import NorthstarError
from orchestration.config.schema import Config
from orchestration.model_store import ModelStore, StoredModel
from orchestration.warehouse import Warehouse

if TYPE_CHECKING:
    import pandas as pd

    from ml.churn.drift import Drift
    from ml.churn.model import ChurnModel

_logger = logging.getLogger("northstar.night")

LABEL_WINDOW_DAYS = 30
# Drift is a reason to train again, but not every night: the dates that a model learns from lie 8 days apart.
_DAYS_BETWEEN_TRAININGS = 7
# Churned accounts that each slice of time needs. At 15 the standard error of an AUC is near 0.07: enough to see whether the model
# beats the base rate, which decides its promotion, and few enough for a company with some two hundred paying accounts.
MINIMUM_CHURNS = 15

# Schema and table that the scores are written to.
SCORES = ("ml", "churn_scores")
_SCORES = """
create schema if not exists ml;
create or replace table ml.churn_scores (
  as_of_date date not null, account_id varchar not null, churn_probability double not null,
  usage_decline_contribution double not null, support_tickets_contribution double not null,
  feature_adoption_contribution double not null, engagement_score_contribution double not null,
  payment_issues_contribution double not null, contract_proximity_contribution double not null,
  model_version varchar not null
)
"""


@dataclass(frozen=True)
class Trained:
    """What became of the churn model tonight: which model scores, and why it was kept, promoted or is missing.

    card: that of the model that was judged tonight, or of the champion that stays; empty when there is neither. rows: features of
    account-dates that were learnt from.
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
    """What the champion said of the accounts that pay: how many there are, how many it scored, and how the scores spread."""

    model_version: str | None
    accounts: int
    rows: int = 0
    lowest: float | None = None
    highest: float | None = None
    different: int = 0
    card: Mapping[str, Any] = field(default_factory=dict)
    drift: "Drift | None" = None


@dataclass(frozen=True)
class _Champion:
    stored: StoredModel
    estimator: "ChurnModel"


class Churn:
    """The churn model of one home: its registry and the warehouse that its features come from."""

    def __init__(self, models: ModelStore, warehouse: Warehouse, config: Config) -> None:
        self._models = models
        self._warehouse = warehouse
        self._config = config

    def train(self, through: date) -> Trained:
        """Train a challenger when there is reason to, and promote it when it is the better one.

        through: last complete day of the features. A reason is that there is no model yet, that a month has begun since the
        champion was last decided on, or that what it scores has drifted from what it learnt, a week after that at the earliest. A
        night as of an earlier day trains nothing: the past would replace what has learned from more.
        """
        from ml.churn import artifact, slices, training

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
                intervention_cost=self._config.intervention_cost,
                intervention_success_rate=self._config.intervention_success_rate,
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

    def score(self) -> Scored:
        """Score every account that pays on the last complete day with the champion, into `ml.churn_scores`."""
        champion = self._champion()
        with self._warehouse.connect() as connection:
            connection.execute(_SCORES)
        frame = self._features(labelled=False)
        if champion is None:
            return Scored(None, accounts=len(frame))
        from ml.churn import drift
        from ml.churn import model as churn_model

        scores = churn_model.score(champion.estimator, frame).assign(model_version=champion.stored.model_id)
        with self._warehouse.connect() as connection:
            connection.register("scores", scores)
            connection.execute("insert into ml.churn_scores by name select * from scores")
        probabilities = scores["churn_probability"].to_numpy()
        return Scored(
            champion.stored.model_id,
            accounts=len(frame),
            rows=len(scores),
            lowest=None if scores.empty else float(probabilities.min()),
            highest=None if scores.empty else float(probabilities.max()),
            different=scores["churn_probability"].nunique(),
            card=champion.stored.card,
            drift=drift.drift(frame, probabilities, champion.stored.card["reference"]),
        )

    def _champion(self) -> "_Champion | None":
        """The champion with its estimator; None when there is none, or only one of features that are made no more."""
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
        with self._warehouse.connect(read_only=True) as connection:
            return connection.execute(query).df()


def load_model(stored: StoredModel) -> "ChurnModel":
    """The estimator of a stored churn model, bytes checked and golden rows predicted again; NorthstarError if they differ."""
    from ml.churn import artifact

    try:
        model = artifact.load(stored.artifact, sha256=str(stored.card["sha256"]))
        artifact.check_golden(model, stored.golden)
    except artifact.ArtifactError as error:
        raise NorthstarError(str(error)) from error
    return model
