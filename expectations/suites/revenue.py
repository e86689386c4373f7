"""What must hold in the revenue marts.

Belongs here: rules that are true of revenue and lifetime-value tables by their definition. Does not belong here: reconciliation
with the lake, which needs more than the candidate, or rules every mart shares (`expectations.checks`).
"""

from expectations.checks import (
    DIMENSIONS,
    Check,
    Context,
    between,
    breakdown,
    holds,
    in_set,
    literal,
    not_null,
    published,
    row_count,
    schema,
    table,
    unique,
)

LTV_COHORT = "mart_ltv__cohort"
LTV_COHORT_COLUMNS = {
    "cohort_month": "DATE",
    "dimension": "VARCHAR",
    "segment": "VARCHAR",
    "age_months": "INTEGER",
    "customer_count": "BIGINT",
    "revenue": "DECIMAL(18,2)",
    "margin": "DECIMAL(18,2)",
    "cumulative_margin_per_customer": "DECIMAL(18,4)",
    "is_mature": "BOOLEAN",
}
LTV_COHORT_GRAIN = ("cohort_month", "dimension", "segment", "age_months")


def ltv_cohort(context: Context) -> list[Check]:
    """Return the checks of `mart_ltv__cohort`."""
    mart, through = LTV_COHORT, literal(context.data_through)
    sizes = f"""
        SELECT min(customer_count) AS lowest, max(customer_count) AS highest
        FROM {table(mart)} GROUP BY cohort_month, dimension, segment"""
    running = f"""
        SELECT *, sum(margin) OVER (PARTITION BY cohort_month, dimension, segment ORDER BY age_months) AS margin_so_far
        FROM {table(mart)} WHERE is_mature"""
    total = f"""
        SELECT coalesce(sum(revenue), 0) AS revenue, coalesce(sum(margin), 0) AS margin
        FROM {table(mart)} WHERE dimension = 'all'"""
    money = ("revenue", "margin", "cumulative_margin_per_customer")
    return [
        *schema(mart, LTV_COHORT_COLUMNS),
        row_count(context, mart, shrink=0.5, growth=3),
        *not_null([*LTV_COHORT_GRAIN, "customer_count", "is_mature"]),
        unique(LTV_COHORT_GRAIN),
        in_set("dimension", DIMENSIONS),
        between("age_months", 0),
        between("customer_count", 1),
        # Each segment's money is rounded to the cent by itself.
        *breakdown(mart, ("cohort_month", "age_months"), (), {"customer_count": 0, "revenue": 0.01, "margin": 0.01}),
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
        *published(context, mart),
    ]
