"""Rules of the ledger of restatements.

Belongs here: rules over the recorded differences between releases. Does not belong here: comparing releases, or the compared
values, which belong to marts with their own suites.
"""

import math

from expectations import common
from expectations.checks import Check, Context, Expectation, Query, between, holds, in_set, literal, ratio, table
from expectations.common import Declared

RESTATEMENTS = "mart_restatements__release"
_CAUSES = ("changed_rule", "erasure", "replaced_files", "refunds", "merges", "late_facts", "other")
_KEPT_DAYS = 400


def restatements(context: Context, spec: Declared) -> list[Check]:
    """Return the checks of `mart_restatements__release`, which is empty until something is restated."""
    mart = RESTATEMENTS
    return [
        *common.declared(context, spec),
        *_row_counts(context),
        in_set("period", ["day", "week", "month", "quarter"]),
        holds(
            mart,
            "value.moved",
            "value_before IS DISTINCT FROM value_after",
            "A figure that is restated is another one than before.",
        ),
        holds(
            mart,
            "change.matches",
            "change = coalesce(value_after, 0) - coalesce(value_before, 0)",
            "change is value_after less value_before.",
        ),
        holds(
            mart,
            "change_rate.matches",
            ratio("change_rate", "change / nullif(abs(value_before), 0)"),
            "change_rate is change over |value_before|.",
        ),
        holds(
            mart,
            "cause.first_possible",
            "split_part(possible_causes, ', ', 1) = cause",
            "The cause is the first of those for which there is evidence.",
        ),
        between("late_fact_count", 0),
        holds(
            mart,
            "period_start.closed",
            "period_start <= data_through",
            "What is restated lies within the data.",
        ),
        holds(
            mart,
            "data_through.kept",
            f"data_through > {literal(context.data_through)} - {_KEPT_DAYS}",
            f"Restatements are kept for {_KEPT_DAYS} days.",
        ),
        Query(
            "release_id.chained",
            f"""
            WITH releases AS (
                SELECT release_id, count(DISTINCT (previous_release_id, data_through)) AS told,
                    bool_or(release_id = previous_release_id) AS is_own
                FROM {table(mart)} GROUP BY release_id
            )
            SELECT count(*) FILTER (told > 1 OR is_own), max(told), 1 FROM releases""",
            "Each release was compared with one other.",
        ),
    ]


def _row_counts(context: Context) -> list[Check]:
    """Return the bounds on rows: losing all refuses; losing half only warns, because old nights are dropped."""
    previous = context.previous_row_counts.get(RESTATEMENTS, 0)
    lowest, usual = min(previous, 1), math.ceil(previous * 0.5)
    return [
        Expectation(
            "row_count",
            "ExpectTableRowCountToBeBetween",
            {"min_value": lowest},
            f"at least {lowest}",
            "The ledger has not forgotten everything.",
        ),
        Expectation(
            "row_count.kept",
            "ExpectTableRowCountToBeBetween",
            {"min_value": usual},
            f"at least {usual}",
            f"The ledger lost less than half of the {previous} rows that it had.",
            severity="warning",
        ),
    ]
