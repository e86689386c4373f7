"""Rules of the engagement marts.

Belongs here: rules that active days and trailing windows satisfy by definition. Does not belong here: how engaged
persons should be (targets) or rules every mart shares (`expectations.checks`).
"""

from expectations import common
from expectations.checks import Check, Context, between, holds, literal, ratio, table
from expectations.common import Declared
from expectations.history import usual_volume

DAILY = "mart_engagement__daily"
# NULL in all rows if none of the events they count was ever sent.
_NEVER_SENT = ("core_feature_user_count", "features_used_avg")
# Filled exactly where the count beside it is not 0.
_AVERAGES = {
    "session_minutes_avg": "session_count",
    "session_minutes_median": "session_count",
    "features_used_avg": "active_count",
    "streak_days_avg": "active_count",
}


def daily(context: Context, spec: Declared) -> list[Check]:
    """Return the checks of `mart_engagement__daily`."""
    mart, through = DAILY, literal(context.data_through)
    counts = [name for name, kind in spec.types.items() if kind == "BIGINT"]
    trailing = ", ".join(
        f"sum(active_count) OVER {window} AS {window}_sum, max(active_count) OVER {window} AS {window}_max"
        for window in ("week", "month")
    )
    along = f"""
        SELECT *, lag(active_count, 1, 0) OVER days AS active_before,
            row_number() OVER days AS day_number, sum(new_count) OVER days AS known_count,
            coalesce(lead(date) OVER days, {through} + 1) AS next_date, {trailing}
        FROM {table(mart)}
        WINDOW days AS (PARTITION BY dimension, segment ORDER BY date),
            week AS (PARTITION BY dimension, segment ORDER BY date ROWS 6 PRECEDING),
            month AS (PARTITION BY dimension, segment ORDER BY date ROWS 29 PRECEDING)"""
    sent = f"""
        SELECT *, count(core_feature_user_count) OVER () = 0 AS are_core_events_unknown,
            count(features_used_avg) OVER () = 0 AS are_features_unknown
        FROM {table(mart)}"""
    return [
        *common.of(context, spec),
        *(between(column, 0) for column in (*counts, "session_minutes_avg", "session_minutes_median", "features_used_avg")),
        between("stickiness_rate", 0, 1),
        between("streak_days_avg", 1),
        holds(
            mart,
            "date.contiguous",
            "next_date = date + 1",
            "A segment has every day from its first one to the end of the data.",
            rows=along,
        ),
        holds(
            mart,
            "active_count.movements",
            "active_count = new_count + retained_count + resurrected_count",
            "Every active person is new, retained or resurrected.",
        ),
        holds(
            mart,
            "dormant_count.closes",
            "active_before = retained_count + dormant_count",
            "Every person active on the previous day is retained or dormant.",
            rows=along,
        ),
        holds(
            mart,
            "wau.within_days",
            "wau BETWEEN week_max AND week_sum",
            "wau lies between the largest daily count of the trailing 7 days and the sum of those counts.",
            rows=along,
        ),
        holds(
            mart,
            "mau.within_days",
            "mau BETWEEN month_max AND month_sum",
            "mau lies between the largest daily count of the trailing 30 days and the sum of those counts.",
            rows=along,
        ),
        holds(mart, "wau.within_month", "wau <= mau", "Persons active in the trailing 7 days are among those of 30."),
        holds(mart, "mau.known", "mau <= known_count", "Every active person was once new.", rows=along),
        holds(
            mart,
            "stickiness_rate.matches",
            ratio("stickiness_rate", "active_count / nullif(mau, 0)"),
            "stickiness_rate is active_count over mau, NULL where that is 0.",
        ),
        holds(
            mart,
            "core_feature_user_count.within_active",
            "coalesce(core_feature_user_count, 0) <= active_count"
            " AND (core_feature_user_count IS NULL) = are_core_events_unknown",
            "Who uses a core feature is active; how many do is known on every day or on none.",
            rows=sent,
        ),
        *(
            holds(
                mart,
                f"{average}.null_where_nobody",
                f"({average} IS NOT NULL) = ({count} > 0)" + (f" OR are_{name}_unknown" if name else ""),
                f"{average} is filled exactly where {count} is not 0" + (", or nowhere." if name else "."),
                rows=sent,
            )
            for average, count in _AVERAGES.items()
            for name in ["features" if average in _NEVER_SENT else ""]
        ),
        holds(
            mart,
            "streak_days_avg.within_days",
            "coalesce(streak_days_avg, 1) <= day_number",
            "Nobody was active for more days in a row than the segment has.",
            rows=along,
        ),
        holds(mart, "date.not_in_future", f"date <= {through}", "No day lies after the last complete one."),
        *usual_volume(context, mart, "date", "active_count", where="dimension = 'all'", sources="events"),
        *usual_volume(context, mart, "date", "session_count", where="dimension = 'all'", sources="events"),
    ]
