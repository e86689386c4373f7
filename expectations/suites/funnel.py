"""What must hold in the funnel marts.

Belongs here: rules that are true of a funnel by its definition. Does not belong here: whether a conversion is good (targets) or
rules every mart shares (`expectations.checks`).
"""

from datetime import timedelta

from expectations.checks import (
    DIMENSIONS,
    Check,
    Context,
    between,
    breakdown,
    calendar,
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

MART = "mart_funnel__entry"
COLUMNS = {
    "funnel": "VARCHAR",
    "entry_grain": "VARCHAR",
    "entry_start": "DATE",
    "dimension": "VARCHAR",
    "segment": "VARCHAR",
    "step_number": "INTEGER",
    "step": "VARCHAR",
    "entrant_count": "BIGINT",
    "person_count": "BIGINT",
    "previous_count": "BIGINT",
    "conversion_rate": "DOUBLE",
    "overall_rate": "DOUBLE",
    "drop_off_rate": "DOUBLE",
    "average_seconds_from_previous": "DOUBLE",
    "median_seconds_from_previous": "DOUBLE",
    "p90_seconds_from_previous": "DOUBLE",
    "is_mature": "BOOLEAN",
}
GRAIN = ("funnel", "entry_grain", "entry_start", "dimension", "segment", "step_number")

# A day without one entrant happens in a small company; a week of them means that the mart was not rebuilt.
_QUIET_DAYS = 7


def _ratio(rate: str, value: str) -> str:
    """Return the rule that a rate equals `value` within 1e-9, and is NULL exactly where that is (an empty denominator)."""
    return f"coalesce(abs({rate} - ({value})) <= 1e-9, {rate} IS NULL AND ({value}) IS NULL)"


def entry(context: Context) -> list[Check]:
    """Return the checks of `mart_funnel__entry`."""
    chain = f"""
        SELECT *, row_number() OVER steps AS position, lag(person_count) OVER steps AS reached_before,
            first_value(person_count) OVER steps AS entered, first_value(is_mature) OVER steps AS is_entry_mature
        FROM {table(MART)}
        WINDOW steps AS (PARTITION BY funnel, entry_grain, entry_start, dimension, segment ORDER BY step_number)"""
    maturity = f"""
        SELECT
            max(entry_start) FILTER (WHERE is_mature) AS last_mature, min(entry_start) FILTER (WHERE NOT is_mature) AS first_open
        FROM {table(MART)} GROUP BY funnel, entry_grain"""
    newest = f"SELECT max(entry_start) AS day FROM {table(MART)} WHERE entry_grain = 'day'"
    times = ("average_seconds_from_previous", "median_seconds_from_previous", "p90_seconds_from_previous")
    is_timed = "(step_number > 1 AND person_count > 0)"
    return [
        *schema(MART, COLUMNS),
        row_count(context, MART, shrink=0.5, growth=3),
        *not_null([*GRAIN, "step", "entrant_count", "person_count", "is_mature"]),
        unique(GRAIN),
        in_set("entry_grain", ("day", "week", "month", "all")),
        in_set("dimension", DIMENSIONS),
        between("step_number", 1, 12),
        *(between(column, 0) for column in ("entrant_count", "person_count", *times)),
        *(between(column, 0, 1) for column in ("conversion_rate", "overall_rate", "drop_off_rate")),
        *breakdown(MART, ("funnel", "entry_grain", "entry_start", "step_number"), ("funnel", "entry_grain"), {"person_count": 0}),
        # Later days than data_through may have landed in part, and clocks may run a day ahead of their arrival.
        *calendar(MART, "entry_start", "entry_grain", context.as_of + timedelta(days=2), severity="warning"),
        holds(MART, "step_number.contiguous", "step_number = position", "Steps count up from 1 without a gap.", rows=chain),
        holds(
            MART,
            "person_count.never_rises",
            "person_count <= coalesce(reached_before, person_count)",
            "No step is reached by more persons than the step before it.",
            rows=chain,
        ),
        holds(
            MART,
            "previous_count.matches",
            "previous_count IS NOT DISTINCT FROM reached_before",
            "previous_count is the person_count of the step before, NULL at the first.",
            rows=chain,
        ),
        holds(
            MART,
            "entrant_count.matches",
            "entrant_count = entered AND person_count <= entrant_count",
            "entrant_count is the person_count of the first step, at every step.",
            rows=chain,
        ),
        holds(
            MART,
            "conversion_rate.matches",
            _ratio("conversion_rate", "person_count / nullif(previous_count, 0)"),
            "conversion_rate is person_count over previous_count, NULL where that is NULL or 0.",
        ),
        holds(
            MART,
            "overall_rate.matches",
            _ratio("overall_rate", "person_count / nullif(entrant_count, 0)"),
            "overall_rate is person_count over entrant_count, NULL where that is 0.",
        ),
        holds(
            MART,
            "drop_off_rate.matches",
            _ratio("drop_off_rate", "1 - conversion_rate"),
            "drop_off_rate is 1 less the conversion_rate, NULL with it.",
        ),
        *(
            holds(
                MART,
                f"{column}.null_where_untimed",
                f"({column} IS NOT NULL) = {is_timed}",
                f"{column} is filled exactly where a later step was reached.",
            )
            for column in times
        ),
        holds(
            MART,
            "seconds.ordered",
            f"NOT {is_timed} OR median_seconds_from_previous <= p90_seconds_from_previous",
            "The median time to a step is not above its 90th percentile.",
        ),
        holds(
            MART,
            "is_mature.recedes",
            "coalesce(last_mature < first_open, true)",
            "Within a funnel and grain no period matures before an older one.",
            rows=maturity,
        ),
        holds(MART, "is_mature.constant", "is_mature = is_entry_mature", "All steps of an entry mature together.", rows=chain),
        holds(
            MART,
            "entry_start.single_all",
            "entries = 1",
            "A funnel has one entry that spans all time.",
            rows=f"""SELECT count(DISTINCT entry_start) FILTER (WHERE entry_grain = 'all') AS entries
                FROM {table(MART)} GROUP BY funnel""",
        ),
        holds(
            MART,
            "entry_start.recent",
            f"day >= {literal(context.data_through)} - {_QUIET_DAYS}",
            f"The newest entry day is at most {_QUIET_DAYS} days before the end of the data.",
            rows=newest,
            severity="warning",
        ),
        *published(context, MART),
    ]
