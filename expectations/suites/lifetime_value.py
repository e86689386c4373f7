"""Rules of the lifetime-value marts.

Belongs here: rules that measured and predicted lifetime values satisfy by definition. Does not belong here: rules shared by all
marts (`expectations.checks`).
"""

from collections.abc import Sequence

from expectations import common
from expectations.checks import Check, Context, between, holds, in_set, literal, table
from expectations.common import Declared

# Horizons of predicted lifetime values, and values of the column `method`: models, or the reason why there is none.
_HORIZONS = (12, 24, 36)
_NO_MODEL = ("none: too few customers", "none: no stable fit", "none: no subscriptions")
_SHOP_METHOD = "bg_nbd_gamma_gamma"
_COHORT_METHODS = ("sbg", _SHOP_METHOD, f"sbg+{_SHOP_METHOD}", *_NO_MODEL)

LTV_COHORT = "mart_ltv__cohort"
_COHORT_PREDICTIONS = tuple(f"predicted_ltv_{horizon}m{part}" for horizon in _HORIZONS for part in ("", "_p10", "_p90"))


def ltv_cohort(context: Context, spec: Declared) -> list[Check]:
    """Return the checks of `mart_ltv__cohort`."""
    mart, through = LTV_COHORT, literal(context.data_through)
    sizes = f"""
        SELECT min(customer_count) AS lowest, max(customer_count) AS highest,
            count(DISTINCT (method, {", ".join(_COHORT_PREDICTIONS)})) AS predictions
        FROM {table(mart)} GROUP BY cohort_month, dimension, segment"""
    running = f"""
        SELECT *, sum(margin) OVER (PARTITION BY cohort_month, dimension, segment ORDER BY age_months) AS margin_so_far
        FROM {table(mart)} WHERE is_mature"""
    total = f"""
        SELECT coalesce(sum(revenue), 0) AS revenue, coalesce(sum(margin), 0) AS margin
        FROM {table(mart)} WHERE dimension = 'all'"""
    money = ("revenue", "margin", "cumulative_margin_per_customer")
    return [
        *common.of(context, spec, renews=None, unsteady=_COHORT_PREDICTIONS),
        in_set("method", _COHORT_METHODS),
        between("age_months", 0),
        between("customer_count", 1),
        holds(mart, "cohort_month.aligned", "day(cohort_month) = 1", "Cohorts are whole calendar months."),
        holds(mart, "cohort_month.not_in_future", f"cohort_month <= {through}", "No cohort begins after the last day of data."),
        *(
            holds(
                mart,
                f"{column}.null_where_immature",
                f"({column} IS NOT NULL) = is_mature",
                f"{column} is NULL exactly where the row is not mature.",
            )
            for column in money
        ),
        holds(mart, "customer_count.constant", "lowest = highest", "A cohort has one size, at all its ages.", rows=sizes),
        # Refunds converted at another day's rate may leave cents below zero in one cell, never in the whole.
        holds(mart, "revenue.not_negative", "revenue >= 0", "Revenue after refunds is not negative in total.", rows=total),
        holds(
            mart,
            "revenue.cell_not_negative",
            "coalesce(revenue, 0) >= 0",
            "Revenue after refunds is not negative in any cohort's month.",
            severity="warning",
        ),
        # In one cell a refund that names no payment may outweigh revenue by more than margin.
        holds(mart, "margin.within_revenue", "margin <= revenue", "Margin does not exceed revenue in total.", rows=total),
        holds(
            mart,
            "cumulative_margin_per_customer.matches",
            # The margin of each month was rounded to the cent, the quotient to its fourth decimal.
            """abs(cumulative_margin_per_customer - margin_so_far / customer_count)
                <= 0.005 * (age_months + 1) / customer_count + 0.0001""",
            "cumulative_margin_per_customer is the margin of all months so far over customer_count.",
            rows=running,
        ),
        holds(
            mart,
            "is_mature.matches",
            f"is_mature = (last_day(cohort_month + to_months(age_months)) <= {through})",
            "A row is mature exactly when its month of age is over.",
        ),
        *_predicted(mart, _COHORT_PREDICTIONS),
        holds(mart, "method.constant", "predictions = 1", "A cohort has one prediction, at all its ages.", rows=sizes),
        *(
            holds(
                mart,
                f"predicted_ltv_{horizon}m.within_interval",
                f"""predicted_ltv_{horizon}m IS NULL
                    OR predicted_ltv_{horizon}m BETWEEN predicted_ltv_{horizon}m_p10 AND predicted_ltv_{horizon}m_p90""",
                f"The prediction for {horizon} months lies within its interval.",
            )
            for horizon in _HORIZONS
        ),
    ]


def _predicted(mart: str, columns: Sequence[str]) -> list[Check]:
    """Checks that predictions exist exactly where a model does, and, as a warning, that at least one exists."""
    absent = " OR ".join(f"({column} IS NULL) <> (method LIKE 'none%')" for column in columns)
    predicted = f"SELECT count(*) FILTER (WHERE method NOT LIKE 'none%') AS predicted FROM {table(mart)}"
    return [
        holds(mart, "method.matches", f"NOT ({absent})", "Predictions are NULL exactly where method gives a reason."),
        holds(mart, "method.any_model", "predicted > 0", "A model speaks for somebody.", rows=predicted, severity="warning"),
    ]


LTV_CUSTOMER = "mart_ltv__customer"
_CUSTOMER_MONEY = ("expected_order_value", *(f"predicted_ltv_{horizon}m" for horizon in _HORIZONS))
_CUSTOMER_COUNTS = ("order_count", "frequency", "recency_days", "age_days")
_CUSTOMER_EXPECTED = ("p_alive", "expected_orders_90d", "expected_orders_365d")


def ltv_customer(context: Context, spec: Declared) -> list[Check]:
    """Return the checks of `mart_ltv__customer`."""
    mart, through = LTV_CUSTOMER, literal(context.data_through)
    return [
        *common.of(context, spec, unsteady=(*_CUSTOMER_EXPECTED, *_CUSTOMER_MONEY)),
        in_set("method", (_SHOP_METHOD, *_NO_MODEL)),
        between("order_count", 1),
        *(between(column, 0) for column in (*_CUSTOMER_COUNTS[1:], *_CUSTOMER_EXPECTED[1:], "expected_order_value")),
        between("p_alive", 0, 1),
        *_predicted(mart, (*_CUSTOMER_EXPECTED, *_CUSTOMER_MONEY)),
        holds(mart, "as_of_date.current", f"as_of_date = {through}", "Customers are looked at on the last complete day."),
        holds(
            mart,
            "frequency.possible",
            "frequency < order_count AND recency_days <= age_days AND (recency_days > 0) = (frequency > 0)",
            "Days of purchase are no more than purchases, and lie between the first of them and today.",
        ),
        holds(
            mart,
            "expected_orders.possible",
            """p_alive IS NULL OR (expected_orders_90d <= expected_orders_365d AND expected_orders_365d <= 365
                AND (frequency > 0 OR p_alive = 1))""",
            "A year expects no fewer orders than a quarter and at most one a day; who never came back counts as alive.",
        ),
    ]
