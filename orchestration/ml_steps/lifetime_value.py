"""The lifetime-value step: expected value of customers and cohorts.

Belongs here: its inputs, its tables and its texts. Does not belong here: the estimators (`ml.clv`).
"""

from orchestration.ml_steps.step import Outcome, Step, Task, Workbench

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


class LifetimeValue(Step):
    """Fits models every night and stores none; values are NULL if a model has too few customers or cannot be fitted."""

    name = "lifetime_value"

    @property
    def tasks(self) -> tuple[Task, ...]:
        """One task: fit and predict."""
        return (Task("value", _OUTPUTS, tuple(_INPUTS), _predict),)


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
