"""Rules of the funnel marts.

Belongs here: rules that a funnel satisfies by definition. Does not belong here: whether a conversion is good (targets) or
rules every mart shares (`expectations.checks`).
"""

from datetime import timedelta

from expectations import common
from expectations.checks import Check, Context, between, calendar, holds, in_set, literal, ratio, table
from expectations.common import Declared
from expectations.history import usual_volume

MART = "mart_funnel__entry"

EXITS = "mart_funnel_exits__weekly"

OPPORTUNITIES = "mart_funnel_opportunities__current"

# A day without entrants is possible in a small company; a whole week means that the mart was not rebuilt.
_QUIET_DAYS = 7

_OPPORTUNITY_DAYS = 28


def entry(context: Context, spec: Declared) -> list[Check]:
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
    days = f"""
        WITH entered AS (SELECT * FROM {table(MART)} WHERE dimension = 'all' AND step_number = 1)
        SELECT whole.entrant_count AS entrants, max(part.entrant_count) AS most, sum(part.entrant_count) AS together
        FROM entered AS whole LEFT JOIN entered AS part
            ON part.funnel = whole.funnel AND part.entry_grain = 'day' AND part.entry_start >= whole.entry_start
            AND part.entry_start <= if(whole.entry_grain = 'week', whole.entry_start + 6, last_day(whole.entry_start))
        WHERE whole.entry_grain IN ('week', 'month') GROUP BY whole.funnel, whole.entry_grain, whole.entry_start, entrants"""
    newest = f"SELECT max(entry_start) AS day FROM {table(MART)} WHERE entry_grain = 'day'"
    times = ("average_seconds_from_previous", "median_seconds_from_previous", "p90_seconds_from_previous")
    is_timed = "coalesce(step_number > 1 AND person_count > 0, false)"
    return [
        *common.of(context, spec, scope=("funnel", "entry_grain")),
        in_set("entry_grain", ("day", "week", "month", "all")),
        between("step_number", 1, 12),
        *(between(column, 0) for column in ("entrant_count", "person_count", *times)),
        *(between(column, 0, 1) for column in ("conversion_rate", "overall_rate", "drop_off_rate")),
        # Later days than data_through may have landed in part, and clocks may run a day ahead of their arrival.
        *calendar(MART, "entry_start", "entry_grain", context.as_of + timedelta(days=2), severity="warning"),
        holds(MART, "step_number.contiguous", "step_number = position", "Steps count up from 1 without a gap.", rows=chain),
        holds(
            MART,
            "person_count.never_rises",
            "step_number = 1 OR person_count IS NULL OR coalesce(person_count <= reached_before, false)",
            "No step is reached by more persons than the step before it, and none after a step of which that is unknown.",
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
            "coalesce(entrant_count = entered, false) AND coalesce(person_count <= entrant_count, true)",
            "entrant_count is the person_count of the first step, at every step.",
            rows=chain,
        ),
        holds(
            MART,
            "conversion_rate.matches",
            ratio("conversion_rate", "person_count / nullif(previous_count, 0)"),
            "conversion_rate is person_count over previous_count, NULL where that is NULL or 0.",
        ),
        holds(
            MART,
            "overall_rate.matches",
            ratio("overall_rate", "person_count / nullif(entrant_count, 0)"),
            "overall_rate is person_count over entrant_count, NULL where that is 0.",
        ),
        holds(
            MART,
            "drop_off_rate.matches",
            ratio("drop_off_rate", "1 - conversion_rate"),
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
            # Quantiles interpolated between equal values may differ in the last binary digit: a microsecond is tolerated.
            f"NOT {is_timed} OR median_seconds_from_previous <= p90_seconds_from_previous + 1e-6",
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
        holds(
            MART,
            "entrant_count.within_days",
            "entrants BETWEEN coalesce(most, 0) AND coalesce(together, 0)",
            "Who entered in a week or month entered on one of its days: no day had more of them, and all together not fewer.",
            rows=days,
        ),
        *usual_volume(
            context,
            MART,
            "entry_start",
            "person_count",
            keys=("funnel",),
            where="entry_grain = 'day' AND dimension = 'all' AND step_number = 1",
            sources="events",
        ),
    ]


def exits(context: Context, spec: Declared) -> list[Check]:
    """Return the checks of `mart_funnel_exits__weekly`."""
    pages = f"""
        SELECT count(*) AS pages, max(exit_rank) AS last_rank, sum(exit_count) AS left_from_these,
            min(stopped_count) AS lowest, max(stopped_count) AS highest, count(DISTINCT step) AS names
        FROM {table(EXITS)} GROUP BY funnel, step_number, week"""
    ranked = f"""
        SELECT *, row_number() OVER (PARTITION BY funnel, step_number, week ORDER BY exit_count DESC, exit_page) AS place
        FROM {table(EXITS)}"""
    weeks = f"""
        SELECT funnel, week, is_mature, dayofweek(week) AS weekday, first_value(dayofweek(week)) OVER () AS first_weekday
        FROM {table(EXITS)}"""
    maturity = f"""
        SELECT max(week) FILTER (WHERE is_mature) AS last_mature, min(week) FILTER (WHERE NOT is_mature) AS first_open
        FROM {table(EXITS)} GROUP BY funnel"""
    return [
        *common.of(context, spec, renews="warning"),
        # A funnel has at most twelve steps, and nobody stops after the last.
        between("step_number", 1, 11),
        between("exit_count", 1),
        in_set("exit_rank", range(1, 6)),
        between("share_rate", 0, 1),
        holds(
            EXITS,
            "share_rate.matches",
            ratio("share_rate", "exit_count / nullif(stopped_count, 0)"),
            "share_rate is exit_count over stopped_count.",
        ),
        holds(
            EXITS,
            "exit_rank.matches",
            "exit_rank = place",
            "Pages are ranked by exit_count, then by name, without a gap.",
            rows=ranked,
        ),
        holds(
            EXITS,
            "stopped_count.constant",
            "lowest = highest AND names = 1",
            "All pages of a step and week are of the same persons, and of one step.",
            rows=pages,
        ),
        holds(
            EXITS,
            "exit_count.adds_up",
            "left_from_these <= highest AND (pages = 5 OR left_from_these = highest)",
            "Fewer than five pages hold everybody who stopped, five hold no more.",
            rows=pages,
        ),
        holds(EXITS, "week.aligned", "weekday = first_weekday", "All weeks begin on the same weekday.", rows=weeks),
        holds(
            EXITS,
            "week.not_in_future",
            f"week <= {literal(context.as_of + timedelta(days=2))}",
            "No week begins after the data.",
            severity="warning",
        ),
        holds(
            EXITS,
            "is_mature.recedes",
            "coalesce(last_mature < first_open, true)",
            "Within a funnel no week matures before an older one.",
            rows=maturity,
        ),
        holds(
            EXITS,
            "is_mature.over",
            f"NOT is_mature OR week + 6 <= {literal(context.data_through)}",
            "A mature week is over.",
        ),
    ]


def opportunities(context: Context, spec: Declared) -> list[Check]:
    """Return the checks of `mart_funnel_opportunities__current`."""
    chain = f"""
        SELECT *, row_number() OVER steps + 1 AS position, lag(entrant_count - lost_person_count) OVER steps AS reached_before,
            first_value(last_entry_date) OVER steps AS funnel_last_entry_date
        FROM {table(OPPORTUNITIES)} WINDOW steps AS (PARTITION BY funnel ORDER BY step_number)"""
    ranked = f"""
        SELECT *, row_number() OVER (ORDER BY lost_person_count DESC, funnel, step_number) AS place
        FROM {table(OPPORTUNITIES)} WHERE potential_impact IS NOT NULL"""
    is_opportunity = "coalesce(2 * lost_person_count > entrant_count, false)"
    return [
        *common.of(context, spec, renews="warning"),
        in_set("potential_impact", ("high", "medium")),
        between("step_number", 2, 12),
        *(between(column, 0) for column in ("entrant_count", "lost_person_count")),
        between("drop_off_rate", 0, 1),
        between("opportunity_rank", 1),
        holds(
            OPPORTUNITIES, "step_number.contiguous", "step_number = position", "Steps count up from 2 without a gap.", rows=chain
        ),
        holds(
            OPPORTUNITIES,
            "entrant_count.continued",
            "position = 2 OR entrant_count IS NOT DISTINCT FROM reached_before",
            "Who comes to a step is who was not lost at the step before.",
            rows=chain,
        ),
        holds(
            OPPORTUNITIES,
            "drop_off_rate.matches",
            ratio("drop_off_rate", "lost_person_count / nullif(entrant_count, 0)"),
            "drop_off_rate is lost_person_count over entrant_count, NULL where that is NULL or 0.",
        ),
        holds(
            OPPORTUNITIES,
            "first_entry_date.period",
            f"""coalesce(
                    first_entry_date = last_entry_date - {_OPPORTUNITY_DAYS - 1}
                    AND last_entry_date < {literal(context.data_through)},
                    first_entry_date IS NULL AND last_entry_date IS NULL
                )
                AND last_entry_date IS NOT DISTINCT FROM funnel_last_entry_date""",
            f"All steps of a funnel are of the same {_OPPORTUNITY_DAYS} days, which end before the data do, or of none.",
            rows=chain,
        ),
        holds(
            OPPORTUNITIES,
            "entrant_count.null_without_days",
            "last_entry_date IS NOT NULL AND entrant_count IS NOT NULL OR lost_person_count IS NULL",
            "Persons are lost only of those who came, on days whose window is over.",
        ),
        holds(
            OPPORTUNITIES,
            "potential_impact.matches",
            f"""potential_impact IS NOT DISTINCT FROM
                CASE WHEN {is_opportunity} THEN CASE WHEN lost_person_count > 1000 THEN 'high' ELSE 'medium' END END""",
            "A step that loses more than half has an impact, high above a thousand persons.",
        ),
        holds(
            OPPORTUNITIES,
            "opportunity_rank.matches",
            "opportunity_rank = place",
            "Opportunities are ranked by the persons lost, over all funnels.",
            rows=ranked,
        ),
        holds(
            OPPORTUNITIES,
            "opportunity.complete",
            f"(opportunity_rank IS NOT NULL) = {is_opportunity} AND (suggested_experiment IS NOT NULL) = {is_opportunity}",
            "Opportunities, and no other steps, have a rank and an experiment.",
        ),
    ]
