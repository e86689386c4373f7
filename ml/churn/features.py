"""The feature schema of the churn model, and the refusal of frames that violate it.

Belongs here: the meaning of each feature, and the checks between a frame and the model. Does not belong here: computing
features (dbt) or transforming them (`model`).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

INDICATORS = (
    "usage_decline",
    "support_tickets",
    "feature_adoption",
    "engagement_score",
    "payment_issues",
    "contract_proximity",
)

# Features that belong to no indicator: a group of their own when a score is divided among its reasons.
TRAITS = "account_traits"

KEY = ("as_of_date", "account_id")


class FeatureError(ValueError):
    """A frame that does not fit the schema; the message names the column."""


@dataclass(frozen=True)
class Feature:
    """One numeric column of the feature frame, as known on the as-of date.

    indicator: the published indicator that it belongs to, one of `INDICATORS`; None for a trait of the account.
    nullable: whether NULL is allowed and has a meaning (given in the description).
    """

    name: str
    description: str
    unit: str
    indicator: str | None
    nullable: bool = False


FEATURES = (
    Feature("events_7d", "events in the last 7 days", "events", "usage_decline"),
    Feature("events_prior_28d", "events in the 28 days before the last 7", "events", "usage_decline"),
    Feature(
        "usage_ratio",
        "(events_7d / 7) / (events_prior_28d / 28); NULL when events_prior_28d is 0",
        "ratio",
        "usage_decline",
        nullable=True,
    ),
    Feature("is_usage_down", "1 when the last 7 days ran at less than 70 % of the 28 before, else 0", "0/1", "usage_decline"),
    Feature("tickets_30d", "support tickets opened in the last 30 days", "tickets", "support_tickets"),
    Feature("severe_tickets_30d", "of those, tickets of high or urgent severity", "tickets", "support_tickets"),
    Feature("unsolved_tickets", "tickets that are not solved on the as-of date, whenever opened", "tickets", "support_tickets"),
    Feature("features_used_28d", "breadth: distinct product features used in the last 28 days", "features", "feature_adoption"),
    Feature("core_events_28d", "depth: events of core features in the last 28 days", "events", "feature_adoption"),
    Feature("active_days_28d", "days with an event in the last 28", "days", "engagement_score"),
    Feature("active_users_28d", "users with an event in the last 28 days", "users", "engagement_score"),
    Feature("sessions_28d", "sessions in the last 28 days", "sessions", "engagement_score"),
    Feature("streak_days", "days in a row with an event, up to the as-of date or the day before", "days", "engagement_score"),
    Feature(
        "days_since_last_event", "days since the last event; NULL when there was none", "days", "engagement_score", nullable=True
    ),
    Feature("failed_payments_90d", "failed payments in the last 90 days", "payments", "payment_issues"),
    Feature("is_past_due", "1 when a payment is overdue, else 0", "0/1", "payment_issues"),
    Feature("days_to_renewal", "days until the contract renews; NULL when unknown", "days", "contract_proximity", nullable=True),
    Feature("is_annual", "1 when the contract runs by the year, else 0", "0/1", "contract_proximity"),
    Feature("tenure_days", "days since the account first paid", "days", None),
    Feature("mrr_usd", "monthly recurring revenue", "USD per month", None),
    Feature("seats", "seats paid for; NULL when unknown", "seats", None, nullable=True),
)

FEATURE_NAMES = tuple(feature.name for feature in FEATURES)

GROUPS = (*INDICATORS, TRAITS)

# The position in GROUPS of each feature's group.
GROUP_OF_FEATURE = tuple(GROUPS.index(feature.indicator or TRAITS) for feature in FEATURES)


def require_column(frame: "pd.DataFrame", name: str) -> "pd.Series":
    """Return the column of that name; FeatureError when the frame has none, or several."""
    found = list(frame.columns).count(name)
    if found != 1:
        raise FeatureError(f"churn features: column {name!r} is {'missing' if found == 0 else 'there more than once'}")
    return frame[name]


def numbers(frame: "pd.DataFrame", name: str, *, nullable: bool) -> "NDArray[np.float64]":
    """Read one column as floats of shape (rows,), NULL as NaN.

    Raises FeatureError when the column is missing, not numeric (an all-NULL column has no type to refuse), infinite, or NULL
    where that is not allowed.
    """
    column = require_column(frame, name)
    empty = column.isna()
    if column.dtype.kind not in "biuf" and not empty.all():
        raise FeatureError(f"churn features: column {name!r} must be numeric, not {column.dtype}")
    if not nullable and empty.any():
        raise FeatureError(f"churn features: column {name!r} is NULL in {int(empty.sum())} rows and may not be")
    values: NDArray[np.float64] = column.to_numpy(dtype=np.float64, na_value=np.nan)
    infinite = int(np.isinf(values).sum())
    if infinite:
        raise FeatureError(f"churn features: column {name!r} is infinite in {infinite} rows")
    return values


def matrix(frame: "pd.DataFrame") -> "NDArray[np.float64]":
    """Read all features, shape (rows, len(FEATURES)), in the order of the schema, NULL as NaN; FeatureError as in `numbers`."""
    return np.column_stack([numbers(frame, feature.name, nullable=feature.nullable) for feature in FEATURES])


def in_key_order(frame: "pd.DataFrame") -> "pd.DataFrame":
    """Sort the rows by (as_of_date, account_id), with a fresh index.

    Sums of floats depend on the order of their terms, so training and scoring both start from this one order. Raises
    FeatureError when a key column is missing, NULL or of another type (datetime64 without time zone at midnight; text), or a
    key is repeated.
    """
    dates, accounts = (require_column(frame, name) for name in KEY)
    for column in (dates, accounts):
        if column.isna().any():
            raise FeatureError(f"churn features: column {column.name!r} is NULL in {int(column.isna().sum())} rows")
    if not isinstance(dates.dtype, np.dtype) or dates.dtype.kind != "M":
        raise FeatureError(
            f"churn features: column 'as_of_date' must hold dates (datetime64 without time zone), not {dates.dtype}"
        )
    if (dates != dates.dt.normalize()).any():
        raise FeatureError("churn features: column 'as_of_date' must hold whole days, not times within a day")
    if any(not isinstance(account, str) for account in accounts.unique()):
        raise FeatureError(f"churn features: column 'account_id' must hold text, not {accounts.dtype}")
    twice = frame.duplicated(list(KEY))
    if twice.any():
        first = frame.loc[twice].iloc[0]
        raise FeatureError(
            f"churn features: {int(twice.sum())} rows repeat a key (as_of_date, account_id), "
            f"first {first['as_of_date']:%Y-%m-%d}, {first['account_id']!r}"
        )
    return frame.sort_values(list(KEY), ignore_index=True)
