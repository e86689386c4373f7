"""Rules of the retention marts.

Belongs here: rules that a cohort table satisfies by definition. Does not belong here: rules shared by all marts
(`expectations.checks`).
"""

from expectations import common
from expectations.checks import Check, Context, between, calendar, holds, in_set, literal, table
from expectations.common import Declared
from expectations.history import usual_volume

MART = "mart_retention__cohort"

# Source of the cohorts of each event.
_SOURCES = {"first_seen": "events", "signup": "users", "first_order": "orders", "first_payment": "payments"}

# First day of a bracket → its last: D1–3, D4–7, D8–14, D15–30, D31–90.
_BRACKETS = {1: 3, 4: 7, 8: 14, 15: 30, 31: 90}


def cohort(context: Context, spec: Declared) -> list[Check]:
    """Return the checks of `mart_retention__cohort`."""
    bracket_end = " ".join(f"WHEN {first} THEN {last}" for first, last in _BRACKETS.items())
    last_period = f"CASE WHEN rule = 'bracket' THEN CASE period_index {bracket_end} END ELSE period_index END"
    last_day = f"""
        CASE cohort_grain
            WHEN 'day' THEN cohort_start + ({last_period})
            WHEN 'week' THEN cohort_start + ({last_period}) * 7 + 6
            WHEN 'month' THEN last_day(cohort_start + to_months({last_period}))
        END"""
    along = f"""
        SELECT *, lag(retained_count) OVER (
            PARTITION BY cohort_event, rule, cohort_grain, cohort_start, dimension, segment ORDER BY period_index
        ) AS retained_before
        FROM {table(MART)} WHERE rule = 'on_or_after' AND is_mature"""
    days = f"""
        WITH cohorts AS (
            SELECT DISTINCT cohort_event, cohort_grain, cohort_start, dimension, segment, cohort_count FROM {table(MART)}
            WHERE rule = 'exact' AND period_index = 0
        )
        SELECT whole.cohort_event, whole.cohort_grain, whole.cohort_start, whole.dimension, whole.segment, whole.cohort_count,
            sum(part.cohort_count) AS of_days
        FROM cohorts AS whole LEFT JOIN cohorts AS part
            ON (part.cohort_event, part.dimension, part.segment) = (whole.cohort_event, whole.dimension, whole.segment)
            AND part.cohort_grain = 'day' AND part.cohort_start >= whole.cohort_start
            AND part.cohort_start <= if(whole.cohort_grain = 'week', whole.cohort_start + 6, last_day(whole.cohort_start))
        WHERE whole.cohort_grain <> 'day' GROUP BY ALL"""
    rows_of_cohort = f"""
        SELECT min(cohort_count) AS lowest, max(cohort_count) AS highest
        FROM {table(MART)} GROUP BY cohort_event, cohort_grain, cohort_start, dimension, segment"""
    return [
        *common.of(context, spec, scope=("cohort_event", "rule", "cohort_grain")),
        in_set("cohort_event", ("first_seen", "signup", "first_order", "first_payment")),
        in_set("rule", ("exact", "on_or_after", "bracket")),
        in_set("cohort_grain", ("day", "week", "month")),
        between("period_index", 0),
        between("cohort_count", 1),
        between("retained_count", 0),
        between("retention_rate", 0, 1),
        *calendar(MART, "cohort_start", "cohort_grain", context.data_through),
        holds(
            MART,
            "retained_count.null_where_immature",
            "(retained_count IS NOT NULL) = is_mature",
            "retained_count is NULL exactly where the cell is not mature.",
        ),
        holds(
            MART,
            "retention_rate.null_where_immature",
            "(retention_rate IS NOT NULL) = is_mature",
            "retention_rate is NULL exactly where the cell is not mature.",
        ),
        holds(
            MART,
            "retained_count.within_cohort",
            "coalesce(retained_count, 0) <= cohort_count",
            "No more persons return than the cohort has.",
        ),
        holds(
            MART,
            "retention_rate.matches",
            "NOT is_mature OR abs(retention_rate - retained_count / cohort_count) <= 1e-9",
            "retention_rate is retained_count over cohort_count.",
        ),
        holds(
            MART,
            "retained_count.never_rises",
            "retained_count <= coalesce(retained_before, retained_count)",
            "Under on_or_after no later period retains more persons.",
            rows=along,
        ),
        holds(MART, "cohort_count.constant", "lowest = highest", "A cohort has one size, in all its cells.", rows=rows_of_cohort),
        holds(
            MART,
            "rule.bracket_days",
            f"rule <> 'bracket' OR (cohort_grain = 'day' AND period_index IN ({', '.join(map(str, _BRACKETS))}))",
            "Brackets exist for day cohorts and begin on declared days.",
        ),
        holds(
            MART,
            "is_mature.matches",
            f"is_mature = ({last_day} <= {literal(context.data_through)})",
            "A cell is mature exactly when the last day of its last period is over.",
        ),
        holds(
            MART,
            "cohort_count.days_add_up",
            "cohort_count IS NOT DISTINCT FROM of_days",
            "A week's or month's cohort is that of its days together.",
            rows=days,
        ),
        *usual_volume(
            context,
            MART,
            "cohort_start",
            "cohort_count",
            keys=("cohort_event",),
            where="rule = 'exact' AND cohort_grain = 'day' AND period_index = 0 AND dimension = 'all'",
            sources=_SOURCES,
        ),
    ]
