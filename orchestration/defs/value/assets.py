"""Predicted lifetime values as assets."""

import dagster as dg

from orchestration.defs.owners import Owner
from orchestration.night import Night
from orchestration.resources import WAREHOUSE_POOL

_INPUTS = ("int_clv__shop_customers", "int_clv__subscription_tenures", "int_clv__account_customers")
_DESCRIPTIONS = {
    "ltv_customers": "One row per shop customer: what the models expect of it on the last complete day.",
    "ltv_cohorts": "One row per cohort month, dimension and segment: the mean predicted lifetime value of its customers.",
}


@dg.multi_asset(
    name="lifetime_values",
    specs=[
        dg.AssetSpec(
            dg.AssetKey(["ml", name]),
            deps=[dg.AssetKey(["intermediate", model]) for model in _INPUTS],
            description=description,
            group_name="ml",
            kinds={"scikitlearn", "duckdb"},
            owners=[Owner.SCIENCE],
        )
        for name, description in _DESCRIPTIONS.items()
    ],
    pool=WAREHOUSE_POOL,
)
def lifetime_values(
    context: dg.AssetExecutionContext, night: dg.ResourceParam[Night]
) -> tuple[dg.MaterializeResult[None], dg.MaterializeResult[None]]:
    """Fit the models and predict; without a model the reason stands in the metadata."""
    valued = night.value()
    context.log.info(f"shop: {valued.shop}; subscriptions: {valued.subscriptions}")
    said: dict[str, str | float] = {"shop": valued.shop, "subscriptions": valued.subscriptions, **valued.parameters}
    results = [
        dg.MaterializeResult[None](asset_key=dg.AssetKey(["ml", name]), metadata={"dagster/row_count": len(frame), **said})
        for name, frame in zip(_DESCRIPTIONS, (valued.customers, valued.cohorts), strict=True)
    ]
    return results[0], results[1]
