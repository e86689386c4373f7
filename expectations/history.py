"""Checks that compare a mart with its own history: the same weekdays before, and the last release.

Belongs here: builders of such checks, with their bounds. Does not belong here: checks of the candidate by itself (`checks`).
"""

from collections.abc import Iterable, Mapping, Sequence

from expectations.checks import IMPOSSIBLE, Check, Context, Query, Severity, identifier, literal, table

# A day is compared with this many earlier days of the same weekday, if at least half of them exist.
_WEEKS = 8
# Minimum persons or rows of a usual day: at 200, chance alone moves a day by a seventh.
_LEAST_VOLUME = 200
# Clean days of a simulated company lie between 0.5 and 2.3 times the median of their weekdays (the highest in campaigns), and a
# holiday may fall to a tenth: so this factor warns, and only IMPOSSIBLE refuses, where data are lost or in another unit.
_UNUSUAL = 2

# Minimum filled rows of a column before its emptiness is significant, and minimum rows for its share.
_LEAST_FILLED = 20
_LEAST_SHARED = 200
_NULLS_MORE = 0.25
# Below this many units of money a few more customers multiply the sum.
_LEAST_MONEY = 1_000


def usual_volume(
    context: Context,
    mart: str,
    day: str,
    measure: str,
    *,
    keys: Sequence[str] = (),
    where: str = "true",
    is_raw: bool = False,
    sources: str | Mapping[str, str] = "",
) -> list[Check]:
    """Return checks that `measure` on the newest day is usual for its weekday, per `keys`, over rows `where`.

    It is compared with the last 8 days of the same weekday, without the tested day and without failed days (no rows, or more
    than 20 times off their median). With fewer than four such days, or too little volume, the check passes. A day without a row
    counts as 0, except for `is_raw` (rows as they landed), because a source may be late; raw measures also never refuse, since
    one bot can make ten times a small company's day. The day is a warning when it is beyond twice or half the median and beyond
    four deviations (1.4826 × MAD, the estimate for a normal distribution); beyond 20 times it refuses.

    sources: sources of the measure, one for all or one for each value of the only key. If a source is late, so that the newest
    day has not been exported yet, nothing refuses.
    """
    names = [identifier(key) for key in keys]
    listed = "".join(f"{name}, " for name in names)
    # A missing day has the keys of the days before.
    join = f"USING ({', '.join(names)})" if keys else "ON true"
    over = f"PARTITION BY {', '.join(names)}" if keys else ""
    through = literal(context.data_through)
    shown = f"concat_ws(' ', {listed}%s)"
    checks: list[Check] = []
    bounds: tuple[tuple[str, Severity, str, str, str], ...] = (
        (
            "usual",
            "warning",
            f"greatest(least(middle / {_UNUSUAL}, middle - 4 * 1.4826 * deviation), 0)",
            f"greatest(middle * {_UNUSUAL}, middle + 4 * 1.4826 * deviation)",
            f"The newest day has as much {measure} as its weekday usually has.",
        ),
        (
            "plausible",
            "critical",
            f"middle / {IMPOSSIBLE}",
            f"middle * {IMPOSSIBLE}",
            f"The newest day has neither lost nor multiplied its {measure}: it is less than {IMPOSSIBLE} times off its weekday.",
        ),
    )
    judged = [(*bound, where) for bound in bounds[:1]]
    if not is_raw:
        judged += [(*bound, rows) for bound, rows in _by_lateness(context, bounds[1], keys, where, sources)]
    for name, severity, low, high, explanation, kept in judged:
        sql = f"""
            WITH volumes AS (
                SELECT {listed}{identifier(day)} AS day, sum({identifier(measure)}) AS volume FROM {table(mart)}
                WHERE ({kept}) AND {identifier(day)} <= {through} AND {identifier(day)} >= {through} - {7 * _WEEKS}
                    AND ({through} - {identifier(day)}) % 7 = 0
                GROUP BY ALL
            ),
            before AS (
                SELECT *, median(volume) OVER ({over}) AS center FROM volumes WHERE day < {through} AND volume > 0
            ),
            usual AS (
                SELECT {listed}median(volume) AS middle, mad(volume) AS deviation, count(*) AS days FROM before
                WHERE volume BETWEEN center / {IMPOSSIBLE} AND center * {IMPOSSIBLE} GROUP BY ALL
            ),
            tested AS (
                SELECT * REPLACE (coalesce(volume, 0) AS volume), {low} AS low, {high} AS high,
                    coalesce(volume, 0) NOT BETWEEN low AND high AS is_off
                FROM usual {"" if is_raw else "LEFT "}JOIN (SELECT * FROM volumes WHERE day = {through}) {join}
                WHERE days >= {_WEEKS // 2} AND middle >= {_LEAST_VOLUME}
            )
            SELECT count(*) FILTER (WHERE is_off),
                coalesce(
                    string_agg({shown % "volume::BIGINT"}, ', ' ORDER BY {listed}volume) FILTER (WHERE is_off),
                    string_agg({shown % "volume::BIGINT"}, ', ' ORDER BY {listed}volume), 'too little to compare'
                ),
                coalesce(
                    string_agg({shown % "ceil(low)::BIGINT || ' to ' || floor(high)::BIGINT"}, ', ' ORDER BY {listed}volume)
                        FILTER (WHERE is_off),
                    string_agg({shown % "ceil(low)::BIGINT || ' to ' || floor(high)::BIGINT"}, ', ' ORDER BY {listed}volume), ''
                )
            FROM tested"""
        checks.append(Query(f"{measure}.{name}_on_newest_day", sql, explanation, severity))
    return checks


_Bound = tuple[str, Severity, str, str, str]


def _by_lateness(
    context: Context, bound: _Bound, keys: Sequence[str], where: str, sources: str | Mapping[str, str]
) -> list[tuple[_Bound, str]]:
    """Split a refusing bound: rows of late sources get a bound that only warns, with the remedy."""
    if isinstance(sources, str):
        if sources not in context.late:
            return [(bound, where)]
        return [(_warned(context, bound, bound[0], [sources]), where)]
    late = {key: source for key, source in sources.items() if source in context.late}
    if not late:
        return [(bound, where)]
    listed = f"{identifier(keys[0])} IN ({', '.join(map(literal, late))})"
    return [
        (bound, f"({where}) AND NOT {listed}"),
        (_warned(context, bound, "late", sorted({*late.values()})), f"({where}) AND {listed}"),
    ]


def _warned(context: Context, bound: _Bound, name: str, sources: Sequence[str]) -> _Bound:
    _, _, low, high, explanation = bound
    told = "; ".join(
        f"of {source}, what arrived on {context.late[source].arrival_day} happened up to {context.late[source].last_day}"
        for source in sources
    )
    remedy = (
        f"{told}. If exports arrive a day late, land them under the day that they are of"
        f" (dt={context.late[sources[0]].last_day}), or read the newest day as not yet there"
    )
    return name, "warning", low, high, f"{explanation} Hardly anything of that day has arrived: {remedy}."


def as_before(context: Context, mart: str, columns: Iterable[str]) -> list[Check]:
    """Return checks of columns against the last release: filled columns are not all NULL, and money has the same magnitude.

    A warning says that the share of NULL in a column rose by more than a quarter of the rows. Total money may grow or shrink up
    to 20 times; a larger change in one night means another unit.
    """
    before, rows = context.previous_columns.get(mart, {}), context.previous_row_counts.get(mart, 0)
    known = [column for column in columns if column in before] if rows else []
    money = {column: total for column in known if (total := before[column].total) is not None and abs(total) >= _LEAST_MONEY}
    wanted = ", ".join(f"({literal(column)}, {before[column].filled})" for column in known) or "(NULL::VARCHAR, NULL::BIGINT)"
    counted = ", ".join(f"count({identifier(column)})" for column in known) or "NULL"
    names = ", ".join(literal(column) for column in known) or "NULL"
    amounts = ", ".join(f"({literal(column)}, {total:f})" for column, total in money.items()) or "(NULL::VARCHAR, 0)"
    sums = ", ".join(f"sum({identifier(column)})::DOUBLE" for column in money) or "NULL::DOUBLE"
    summed = ", ".join(literal(column) for column in money) or "NULL"
    is_off = f"abs(total) NOT BETWEEN abs(amount) / {IMPOSSIBLE} AND abs(amount) * {IMPOSSIBLE}"
    order = f"""
        WITH wanted(name, amount) AS (VALUES {amounts}),
        found AS (SELECT unnest([{summed}]) AS name, unnest([{sums}]) AS total FROM {table(mart)})
        SELECT count(*) FILTER (WHERE {is_off}),
            coalesce(string_agg(name || ' ' || round(total, 2), ', ' ORDER BY name) FILTER (WHERE {is_off}), count(*) || ' sums'),
            coalesce(string_agg('about ' || amount, ', ' ORDER BY name) FILTER (WHERE {is_off}), '')
        FROM found JOIN wanted USING (name)"""
    checks: list[Check] = [
        Query(
            "money.as_before",
            order,
            f"No sum of money is {IMPOSSIBLE} times that of the last release, or a part of it so small.",
        )
    ]
    rules: tuple[tuple[str, Severity, str, str], ...] = (
        ("none_lost", "critical", f"filled = 0 AND wanted.before >= {_LEAST_FILLED}", "No column has become NULL throughout."),
        (
            "as_before",
            "warning",
            f"least(total, {rows}) >= {_LEAST_SHARED} AND filled / total < wanted.before / {max(rows, 1)} - {_NULLS_MORE}",
            f"No column is NULL more often than in the last release, by {_NULLS_MORE:.0%} of the rows.",
        ),
    )
    for name, severity, rule, explanation in rules:
        sql = f"""
            WITH wanted(name, before) AS (VALUES {wanted}),
            found AS (SELECT unnest([{names}]) AS name, unnest([{counted}]) AS filled, count(*) AS total FROM {table(mart)})
            SELECT count(*) FILTER (WHERE {rule}),
                coalesce(string_agg(name || ' ' || filled, ', ' ORDER BY name) FILTER (WHERE {rule}), count(*) || ' columns'),
                coalesce(string_agg(name || ' ' || wanted.before, ', ' ORDER BY name) FILTER (WHERE {rule}), '')
            FROM found JOIN wanted USING (name)"""
        checks.append(Query(f"nulls.{name}", sql, explanation, severity))
    return checks


def renewed(context: Context, mart: str, *, severity: Severity) -> Query:
    """Return the check that the mart differs from the last release when the data reach a later day.

    `severity`: "critical" if a further day with facts must change the mart; without such facts it is a warning.
    """
    same = mart in context.unchanged
    if mart in context.idle:
        severity = "warning"
    sql = f"SELECT {int(same)}, '{'the same rows' if same else 'other rows'}', 'other rows'"
    return Query("rows.renewed", sql, "With a further day of data the mart is no longer that of the last release.", severity)
