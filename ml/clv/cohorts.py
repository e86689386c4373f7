"""The tables of one night: the value of each shop customer and the mean value of each cohort.

Belongs here: cohorts and their segments, the intervals of their means, and the reasons for a missing model. Does not belong
here: the values themselves (`lifetime_value`), and SQL.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from ml.clv.inputs import ConvergenceError, DegenerateDataError
from ml.clv.lifetime_value import (
    HORIZONS,
    SHOP_METHOD,
    SUBSCRIPTION_METHOD,
    CustomerLifetimeValue,
    SubscriptionLifetimeValue,
    money_columns,
)
from ml.clv.likelihood import Z90, LikelihoodEstimator

if TYPE_CHECKING:
    from numpy.typing import NDArray

_logger = logging.getLogger(__name__)

TOO_FEW, NO_FIT, NO_SUBSCRIPTIONS = "none: too few customers", "none: no stable fit", "none: no subscriptions"
METHODS = (SHOP_METHOD, SUBSCRIPTION_METHOD, f"{SUBSCRIPTION_METHOD}+{SHOP_METHOD}", TOO_FEW, NO_FIT, NO_SUBSCRIPTIONS)
"""Values of the column `method`: the models used, or the reason why there is none."""

DIMENSIONS = ("channel", "country")

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Valued:
    """The values of one night.

    customers: one row per shop customer, as returned by `CustomerLifetimeValue.predict`; NaN and a reason without a model.
    cohorts: one row per cohort_month, dimension and segment: customer_count, the mean predicted_ltv_12m, _24m and _36m, each
    with _p10 and _p90 (80 % interval of the mean), and method.
    shop, subscriptions: description of the model's data, or the reason why there is no model.
    """

    customers: "pd.DataFrame"
    cohorts: "pd.DataFrame"
    shop: str
    subscriptions: str
    parameters: dict[str, float] = field(default_factory=dict)


def value(
    shop: "pd.DataFrame", tenures: "pd.DataFrame", accounts: "pd.DataFrame", *, monthly_discount_rate: float = 0.01
) -> Valued:
    """Fit the models that the data permit, and predict.

    shop: input of `CustomerLifetimeValue.fit`. tenures, accounts: input of `SubscriptionLifetimeValue.fit` and `predict`. shop
    and accounts also need cohort_month, channel and country (not NULL).

    Without a model its customers, and all cohorts that include one of them, have no prediction, and `method` states the reason:
    `none: too few customers`, `none: no stable fit`, or `none: no subscriptions` (accounts paid, but no subscription states their
    tenure). Raises ClvError only for invalid frames.
    """
    shop = shop.sort_values("person_id", ignore_index=True)
    cohorts, of_shop, of_accounts = _cohorts(shop, accounts)
    shop_model = CustomerLifetimeValue(monthly_discount_rate=monthly_discount_rate)
    subscription_model = SubscriptionLifetimeValue(monthly_discount_rate=monthly_discount_rate)
    nothing = np.zeros((len(cohorts), len(HORIZONS)))

    def value_shop() -> "tuple[pd.DataFrame, tuple[NDArray[np.float64], NDArray[np.float64]]]":
        predicted = shop_model.fit(shop).predict(shop)
        return predicted, shop_model.sums(shop, of_shop)

    def value_accounts() -> "tuple[NDArray[np.float64], NDArray[np.float64]]":
        return subscription_model.fit(tenures).sums(accounts, of_accounts)

    shop_values, shop_reason, shop_says = _attempt(value_shop, is_needed=len(shop) > 0)
    has_subscriptions = len(tenures) > 0 or bool(accounts["plan"].notna().any())
    account_sums, account_reason, account_says = _attempt(value_accounts, is_needed=len(accounts) > 0 and has_subscriptions)
    if len(accounts) > 0 and not has_subscriptions:
        account_reason = account_says = NO_SUBSCRIPTIONS
    customers = shop[["person_id"]].assign(**dict.fromkeys(_PREDICTED, np.nan), method=shop_reason)
    if shop_values is not None:
        customers = shop_values[0]
    expected, variance = (
        one + other
        for one, other in zip(
            (nothing, nothing) if shop_values is None else shop_values[1],
            (nothing, nothing) if account_sums is None else account_sums,
            strict=True,
        )
    )
    margins = [f"margin_{horizon}m" for horizon in HORIZONS]
    observed = sum(
        groups @ frame[margins].to_numpy(dtype=np.float64) for groups, frame in ((of_shop, shop), (of_accounts, accounts))
    )
    has_shop, has_accounts = (np.ravel(groups.sum(axis=1)) > 0 for groups in (of_shop, of_accounts))
    method = np.select(
        [has_accounts & bool(account_reason), has_shop & bool(shop_reason), has_shop & has_accounts, has_shop],
        [account_reason, shop_reason, METHODS[2], SHOP_METHOD],
        SUBSCRIPTION_METHOD,
    )
    return Valued(
        customers,
        _means(cohorts, observed, expected, variance, method),
        shop_says or _said(SHOP_METHOD, len(shop)),
        account_says or _said(_methods(subscription_model), len(accounts)),
        {
            **(_named("shop", shop_model.purchases_, shop_model.values_) if shop_values else {}),
            **(_of_segments(subscription_model) if account_sums else {}),
        },
    )


_PREDICTED = ("p_alive", "expected_orders_90d", "expected_orders_365d", "expected_order_value", *money_columns())


def _cohorts(shop: "pd.DataFrame", accounts: "pd.DataFrame") -> tuple["pd.DataFrame", csr_matrix, csr_matrix]:
    """Return the cohorts with customer_count, and for each kind of customer a 0/1 matrix of membership."""
    keys = ["cohort_month", *DIMENSIONS]
    customers = pd.concat([shop[keys], accounts[keys]], ignore_index=True)
    long = pd.concat(
        [
            customers[["cohort_month"]].assign(dimension=name, segment=customers[name] if name in DIMENSIONS else name)
            for name in ("all", *DIMENSIONS)
        ],
        ignore_index=True,
    )
    groups = long.groupby(["cohort_month", "dimension", "segment"], sort=True)
    row, customer = groups.ngroup().to_numpy(), np.tile(np.arange(len(customers)), 1 + len(DIMENSIONS))
    cohorts = groups.size().rename("customer_count").reset_index()
    members = csr_matrix((np.ones(len(row)), (row, customer)), shape=(len(cohorts), len(customers)))
    return cohorts, members[:, : len(shop)], members[:, len(shop) :]


def _attempt(work: Callable[[], _Result], *, is_needed: bool) -> tuple[_Result | None, str, str]:
    """Return the result of `work`, else the reason as in `METHODS` and in full; nothing if there is no need."""
    if not is_needed:
        return None, "", "no customers"
    try:
        return work(), "", ""
    except DegenerateDataError as error:
        return None, TOO_FEW, f"{TOO_FEW}: {error}"
    except ConvergenceError as error:
        return None, NO_FIT, f"{NO_FIT}: {error}"


def _means(
    cohorts: "pd.DataFrame",
    observed: "NDArray[np.float64]",
    expected: "NDArray[np.float64]",
    variance: "NDArray[np.float64]",
    method: "NDArray[np.str_]",
) -> "pd.DataFrame":
    """Return means of cohorts from sums over their customers, each of shape (m, 3)."""
    count = cohorts["customer_count"].to_numpy()[:, None]
    mean, reach = (observed + expected) / count, Z90 * np.sqrt(variance) / count
    # For any parameters, a customer with a positive margin never falls below the observed value.
    low = np.maximum(mean - reach, np.minimum(observed / count, mean))
    figures = np.stack([mean, low, mean + reach], axis=2).reshape(len(cohorts), 3 * len(HORIZONS))
    figures[np.char.startswith(method.astype(str), "none")] = np.nan
    names = money_columns("", "_p10", "_p90")
    return pd.concat([cohorts, pd.DataFrame(figures, columns=names)], axis=1).assign(method=method)


def _said(method: str, count: int) -> str:
    return f"{method}, {count:,} customers"


def _methods(model: SubscriptionLifetimeValue) -> str:
    counts = pd.Series(list(getattr(model, "methods_", {}).values()), dtype=object).value_counts().sort_index()
    return ", ".join(f"{method} in {count} segments" for method, count in counts.items())


def _named(prefix: str, *models: LikelihoodEstimator) -> dict[str, float]:
    return {f"{prefix} {name}": value for model in models for name, value in model.parameters_.items()}


def _of_segments(model: SubscriptionLifetimeValue) -> dict[str, float]:
    found: dict[str, float] = {}
    for key, fitted in model.models_.items():
        segment = "all segments" if model.methods_[key].endswith("_pooled") else ", ".join(key)
        found |= _named(segment, fitted)
    return found
