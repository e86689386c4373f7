"""The champion and its scores as assets."""

import dagster as dg

from ml.churn.features import INDICATORS
from orchestration.defs.owners import Owner
from orchestration.night import Night
from orchestration.resources import WAREHOUSE_POOL

MODEL = dg.AssetKey(["ml", "churn_model"])
SCORES = dg.AssetKey(["ml", "churn_scores"])
_FEATURES = dg.AssetKey(["intermediate", "int_churn__features"])
_LABELS = dg.AssetKey(["intermediate", "int_churn__labels"])


@dg.asset(
    key=MODEL,
    deps=[_FEATURES, _LABELS],
    description="Predicts who stops paying within 30 days; challenged when a month begins or what it scores drifts.",
    group_name="ml",
    kinds={"scikitlearn"},
    owners=[Owner.SCIENCE],
    pool=WAREHOUSE_POOL,
)
def churn_model(context: dg.AssetExecutionContext, night: dg.ResourceParam[Night]) -> dg.MaterializeResult[None]:
    """Train and judge a challenger."""
    from ml.churn import report

    trained = night.train()
    context.log.info(trained.outcome)
    card = {"card": dg.MetadataValue.md(report.markdown(trained.card))} if trained.card else {}
    return dg.MaterializeResult(
        metadata={"model": trained.model_version or "none", "outcome": trained.outcome, **trained.metrics, **card}
    )


@dg.asset(
    key=SCORES,
    deps=[MODEL, _FEATURES],
    description="One row per account that pays on the last complete day: its probability to stop paying within 30 days.",
    group_name="ml",
    kinds={"scikitlearn", "duckdb"},
    owners=[Owner.SCIENCE],
    metadata={
        "dagster/column_schema": dg.TableSchema(
            [
                dg.TableColumn("as_of_date", "DATE", "day as of which the account is looked at"),
                dg.TableColumn("account_id", "VARCHAR", "the account"),
                dg.TableColumn("churn_probability", "DOUBLE", "calibrated probability, 0 to 1"),
                *(
                    dg.TableColumn(f"{indicator}_contribution", "DOUBLE", "what the indicator adds to the log-odds of churn")
                    for indicator in INDICATORS
                ),
                dg.TableColumn("model_version", "VARCHAR", "the champion that scored"),
            ]
        )
    },
    pool=WAREHOUSE_POOL,
)
def churn_scores(night: dg.ResourceParam[Night]) -> dg.MaterializeResult[None]:
    """Score with the champion."""
    return dg.MaterializeResult(metadata={"dagster/row_count": night.score().rows})
