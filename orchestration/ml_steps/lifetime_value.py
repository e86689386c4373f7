"""The lifetime-value step: expected value of customers and cohorts.

Belongs here: its inputs, its tables and its texts. Does not belong here: the estimators (`ml.clv`).
"""

from collections.abc import Mapping

from orchestration.ml_steps.model_store import ModelStore, StoredModel
from orchestration.ml_steps.step import Outcome, Task, Workbench

# Inputs, each with the order of its rows: the last digit of the estimators' sums depends on it.
_INPUTS = {
    "int_clv__shop_customers": "person_id",
    "int_clv__subscription_tenures": "plan, channel, period",
    "int_clv__account_customers": "customer_id",
}
_OUTPUTS = {
    "ltv_customers": "One row per shop customer: what the models expect of it on the last complete day.",
    "ltv_cohorts": "One row per cohort month, dimension and segment: the mean predicted lifetime value of its customers.",
}


class LifetimeValue:
    """Fits the models every night and predicts; values are NULL where a model has too few customers or cannot be fitted."""

    name = "lifetime_value"
    stores_models = False

    @property
    def tasks(self) -> tuple[Task, ...]:
        """One task: fit and predict."""
        return (Task("value", _OUTPUTS, tuple(_INPUTS), _predict),)

    def absence(self, models: ModelStore) -> str | None:
        """None: without a model its marts show observed values."""
        del models
        return None

    def model_version(self, models: ModelStore) -> str | None:
        """None: models are fitted every night and not stored."""
        del models
        return None

    def check(self, model: StoredModel) -> None:
        """Nothing is stored."""
        del model

    def pages(self, outcomes: Mapping[str, Outcome], models: ModelStore) -> Mapping[str, str]:
        """The step has no pages."""
        del outcomes, models
        return {}


def _predict(bench: Workbench) -> Outcome:
    from ml.clv import cohorts

    frames = [bench.read(f"from intermediate.{name} order by {order}") for name, order in _INPUTS.items()]
    valued = cohorts.value(*frames, monthly_discount_rate=bench.config.monthly_discount_rate)
    tables = {
        "ltv_customers": bench.write("ltv_customers", valued.customers),
        "ltv_cohorts": bench.write("ltv_cohorts", valued.cohorts),
    }
    return Outcome(
        rows=len(valued.customers),
        detail=f"{len(valued.cohorts):,} cohorts; shop: {valued.shop}; subscriptions: {valued.subscriptions}",
        tables=tables,
        metadata={"shop": valued.shop, "subscriptions": valued.subscriptions, **valued.parameters},
    )
