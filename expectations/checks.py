"""What a check is, and the checks that every mart shares.

Belongs here: the two kinds of check as plain data, the context a suite is built from, and builders for rules that more than one
mart obeys (schema, row counts, NULLs, ranges, grain, breakdowns, freshness). Does not belong here: a rule of one mart (`suites`)
or the evaluation of a check (`engine`, `gate`).
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Literal, NamedTuple

Severity = Literal["critical", "warning"]
Status = Literal["passed", "failed", "error"]

# The name under which the gate attaches the candidate: the catalog that the file `marts.duckdb` is to every reader.
DATABASE = "marts"

# The breakdowns a mart may carry; ('all', 'all') is always among them.
DIMENSIONS = ("all", "channel", "device", "country", "plan", "role", "city_tier", "industry")

# A day is compared with this many of the same weekday before it, when at least half of them are there.
_WEEKS = 8
# Persons or rows that a usual day needs: of 200, chance alone moves a day by a seventh.
_LEAST_VOLUME = 200
# Clean days of a simulated company lie between 0.5 and 2.3 times the median of their weekdays (campaigns make the most), and a
# holiday may fall to a tenth: the one is worth a word, beyond the other something is lost or counted in another unit.
_UNUSUAL, _IMPOSSIBLE = 2, 20

# Of what arrived on the newest day so few rows happened on it that the day has not been exported yet.
LATE_SHARE = 1 / _IMPOSSIBLE

# Filled rows that a column needs to have had before its emptiness says something, and rows for its share to.
_LEAST_FILLED = 20
_LEAST_SHARED = 200
_NULLS_MORE = 0.25
# Below this many units of money a few customers more are a multiple.
_LEAST_MONEY = 1_000

# A mart of a few dozen rows triples when a month turns; below this many new rows a growth says nothing.
_GROWTH_SLACK = 1_000


class Arrived(NamedTuple):
    """Rows of one source as the lake's own manifests count them: `landed` = `accepted` + `quarantined`."""

    landed: int
    accepted: int
    quarantined: int


class Before(NamedTuple):
    """A column in the last release: rows in which it is not NULL, and its sum when it is money."""

    filled: int
    total: Decimal | None = None


class Late(NamedTuple):
    """A source that is exported a day late: the day of its last facts, and the newest day on which any arrived."""

    last_day: date
    arrival_day: date


@dataclass(frozen=True)
class Context:
    """What the gate knows beside the candidate: its last complete arrival day, the night's date and the last release's rows.

    `arrived` holds, by source, what the night read of the lake, counted without looking at any mart, and `advertised` sums of the
    lake's advertising (counts, and `spend` in the reporting currency), one row per key, up to `data_through`.
    `previous_row_counts` holds rows per mart of the release that is current now, `previous_columns` what its columns held. A mart
    absent from them is new in this release and gets the absolute minimum only. `unchanged` names marts that are to the last row
    what that release has, though the data reach a later day. `idle` names marts of which no fact lies on the newest day: they
    need not change. `awaited` names the facts that empty marts should have been made of, `late` sources that are exported a day
    late. Raises ValueError when the dates or the two statements about the
    last release disagree, since a bound that nothing is compared with would pass for ever.
    """

    data_through: date
    as_of: date
    is_first_release: bool
    previous_row_counts: Mapping[str, int] = field(default_factory=dict)
    arrived: Mapping[str, Arrived] = field(default_factory=dict)
    advertised: Mapping[str, int | Decimal] = field(default_factory=dict)
    previous_columns: Mapping[str, Mapping[str, Before]] = field(default_factory=dict)
    unchanged: frozenset[str] = frozenset()
    idle: frozenset[str] = frozenset()
    awaited: Mapping[str, str] = field(default_factory=dict)
    late: Mapping[str, Late] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.data_through > self.as_of:
            raise ValueError(f"gate context: data_through {self.data_through} lies after as_of {self.as_of}")
        if self.is_first_release and self.previous_row_counts:
            raise ValueError("gate context: a first release has no previous row counts")
        if not self.is_first_release and not self.previous_row_counts:
            raise ValueError("gate context: no previous row counts, and is_first_release is not set")


@dataclass(frozen=True)
class Expectation:
    """A check that Great Expectations evaluates on the mart's table.

    `kind` is the class name in `great_expectations.expectations`, `arguments` are its arguments.
    """

    name: str
    kind: str
    arguments: Mapping[str, object]
    expected: str
    explanation: str
    severity: Severity = "critical"


@dataclass(frozen=True)
class Query:
    """A check in SQL, which gives one row (violations, observed, expected) and passes when `violations` is 0.

    Observed and expected are counts, sums, days or column types: what is shown to people, never a value of a row.
    """

    name: str
    sql: str
    explanation: str
    severity: Severity = "critical"
    kind: Literal["query"] = "query"


Check = Expectation | Query


@dataclass(frozen=True)
class Waiver:
    """Leave to publish, until a day and that day included, though one named critical check fails; who gives it, and why."""

    mart: str
    check: str
    until: date
    reason: str
    by: str

    @property
    def qualified_name(self) -> str:
        """The name of the check in the report, `<mart>.<check>`."""
        return f"{self.mart}.{self.check}"

    def __str__(self) -> str:
        return f"until {self.until} by {self.by}: {self.reason}"


class Verdict(NamedTuple):
    """What came of one check: its status, the two numbers compared, and for an error why it could not be evaluated."""

    status: Status
    observed: str = ""
    expected: str = ""
    reason: str = ""


def identifier(name: str) -> str:
    """Return `name` as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str | date) -> str:
    """Return text or a day as an SQL literal."""
    if isinstance(value, date):
        return f"DATE '{value.isoformat()}'"
    return "'" + value.replace("'", "''") + "'"


def table(mart: str) -> str:
    """Return the quoted name of a mart's table in the candidate."""
    return f"{DATABASE}.{identifier(mart)}"


def holds(
    mart: str, name: str, rule: str, explanation: str, *, rows: str | None = None, severity: Severity = "critical"
) -> Query:
    """Return a check that the SQL condition `rule` is true in every row; NULL is not true.

    `rows` replaces the mart's table by a subquery, for rules over window functions.
    """
    source = f"({rows})" if rows else table(mart)
    sql = f"""
        SELECT count(*) FILTER (WHERE ({rule}) IS NOT TRUE) AS violations, violations || ' of ' || count(*) || ' rows', '0'
        FROM {source}"""
    return Query(name, sql, explanation, severity)


def ratio(rate: str, value: str) -> str:
    """Return the rule that a rate equals `value` within 1e-9, and is NULL exactly where that is (an empty denominator)."""
    return f"coalesce(abs({rate} - ({value})) <= 1e-9, {rate} IS NULL AND ({value}) IS NULL)"


def schema(mart: str, columns: Mapping[str, str]) -> list[Check]:
    """Return checks for the exact columns in order, and for their DuckDB types."""
    wanted = ", ".join(f"({literal(name)}, {literal(kind)})" for name, kind in columns.items())
    types = f"""
        WITH wanted(column_name, data_type) AS (VALUES {wanted}),
        found AS (
            SELECT column_name, data_type FROM duckdb_columns()
            WHERE database_name = '{DATABASE}' AND table_name = {literal(mart)}
        )
        SELECT
            count(*) FILTER (WHERE wanted.data_type IS DISTINCT FROM found.data_type),
            string_agg(column_name || ' ' || coalesce(found.data_type, 'absent'), ', ' ORDER BY column_name)
                FILTER (WHERE wanted.data_type IS DISTINCT FROM found.data_type),
            string_agg(column_name || ' ' || coalesce(wanted.data_type, 'absent'), ', ' ORDER BY column_name)
                FILTER (WHERE wanted.data_type IS DISTINCT FROM found.data_type)
        FROM wanted FULL JOIN found USING (column_name)"""
    return [
        Expectation(
            "columns",
            "ExpectTableColumnsToMatchOrderedList",
            {"column_list": list(columns)},
            f"{len(columns)} columns in order",
            "The table has exactly the declared columns, in the declared order.",
        ),
        Query("types", types, "Every column has its declared type."),
    ]


def row_count(context: Context, mart: str, *, shrink: float, growth: float) -> Expectation:
    """Return the bound on the number of rows: at least one, and `shrink` to `growth` times those of the last release."""
    previous = context.previous_row_counts.get(mart)
    if previous is None:
        bounds: dict[str, object] = {"min_value": 1}
        expected, reason = "at least 1", "The mart is not empty (there is no last release of it to compare with)."
    else:
        low = max(1, math.ceil(previous * shrink))
        high = max(math.floor(previous * growth), previous + _GROWTH_SLACK)
        bounds = {"min_value": low, "max_value": high}
        expected, reason = (
            f"{low} to {high}",
            f"The mart neither lost nor gained more rows than a night can, from {previous} before.",
        )
    if mart in context.awaited:
        reason += f" It is empty, although there are {context.awaited[mart]}."
    return Expectation("row_count", "ExpectTableRowCountToBeBetween", bounds, expected, reason)


def not_null(columns: Sequence[str]) -> list[Check]:
    """Return one check per column that is never NULL."""
    return [
        Expectation(
            f"{column}.not_null",
            "ExpectColumnValuesToNotBeNull",
            {"column": column},
            "0 NULL",
            f"{column} is filled in every row.",
        )
        for column in columns
    ]


def between(column: str, low: float, high: float | None = None) -> Expectation:
    """Return a check that the filled values of a column lie in [low, high]."""
    return Expectation(
        f"{column}.range",
        "ExpectColumnValuesToBeBetween",
        {"column": column, "min_value": low} | ({} if high is None else {"max_value": high}),
        f"at least {low}" if high is None else f"{low} to {high}",
        f"{column} lies within its bounds.",
    )


def in_set(column: str, values: Sequence[str] | Sequence[int]) -> Expectation:
    """Return a check that the filled values of a column are among `values`."""
    return Expectation(
        f"{column}.known",
        "ExpectColumnValuesToBeInSet",
        {"column": column, "value_set": list(values)},
        f"one of {len(values)} values",
        f"{column} holds declared values only.",
    )


def unique(grain: Sequence[str]) -> Expectation:
    """Return a check that no two rows share the mart's grain."""
    kind: str = "ExpectCompoundColumnsToBeUnique"
    arguments: dict[str, object] = {"column_list": list(grain)}
    if len(grain) == 1:  # which GX does not call compound
        kind, arguments = "ExpectColumnValuesToBeUnique", {"column": grain[0]}
    return Expectation("grain.unique", kind, arguments, "0 duplicates", f"There is one row per {', '.join(grain)}.")


def breakdown(mart: str, keys: Sequence[str], scope: Sequence[str], sums: Mapping[str, float]) -> list[Check]:
    """Return checks that ('all', 'all') stands once for each of `keys`, and that each dimension's segments add up to it.

    `keys` is the grain without dimension and segment. A dimension that occurs at all within one value of `scope` (columns of
    `keys`; none is the whole mart) must be complete for all of it. `sums` gives each measure with the rounding allowed per
    segment, 0 for counts.
    """
    key_list, scoped = ", ".join(map(identifier, keys)), [identifier(name) for name in scope]
    join = f"JOIN dimensions USING ({', '.join(scoped)})" if scope else "CROSS JOIN dimensions"
    present = f"""
        SELECT {key_list}, count(*) FILTER (WHERE dimension = 'all') AS totals,
            bool_and(dimension <> 'all' OR segment = 'all') AS is_named
        FROM {table(mart)} GROUP BY {key_list}"""
    checks: list[Check] = [
        holds(
            mart,
            "segment.all_present",
            "totals = 1 AND is_named",
            "('all', 'all') stands once beside every breakdown.",
            rows=present,
        )
    ]
    for measure, tolerance in sums.items():
        column = identifier(measure)
        sql = f"""
            WITH whole AS (
                SELECT {key_list}, sum({column}) AS total FROM {table(mart)} WHERE dimension = 'all' GROUP BY {key_list}
            ),
            dimensions AS (SELECT DISTINCT {", ".join([*scoped, "dimension"])} FROM {table(mart)} WHERE dimension <> 'all'),
            wanted AS (SELECT whole.*, dimension FROM whole {join}),
            parts AS (
                SELECT {key_list}, dimension, sum({column}) AS total, count(*) AS segments
                FROM {table(mart)} WHERE dimension <> 'all' GROUP BY {key_list}, dimension
            )
            SELECT
                count(*) FILTER (
                    WHERE abs(coalesce(wanted.total, 0) - coalesce(parts.total, 0)) > {tolerance} * coalesce(parts.segments, 0)
                ),
                coalesce(sum(parts.total), 0), coalesce(sum(wanted.total), 0)
            FROM wanted FULL JOIN parts USING ({key_list}, dimension)"""
        checks.append(
            Query(f"{measure}.segments_add_up", sql, f"In each dimension the {measure} of the segments adds up to that of all.")
        )
    return checks


def published(context: Context, mart: str) -> list[Check]:
    """Return checks that the release says of this mart what is true: the day its data reaches, and its number of rows."""
    through = literal(context.data_through)
    fresh = f"""
        SELECT (max(data_through) IS DISTINCT FROM {through})::INTEGER, max(data_through), {through} FROM marts._publication"""
    listed = f"""
        WITH listed AS (SELECT unnest(marts, recursive := true) FROM marts._publication),
        named AS (SELECT count(*) AS entries, max(row_count) AS row_count FROM listed WHERE mart = {literal(mart)}),
        actual AS (SELECT count(*) AS row_count FROM {table(mart)})
        SELECT (entries <> 1 OR named.row_count IS DISTINCT FROM actual.row_count)::INTEGER, actual.row_count, named.row_count
        FROM named, actual"""
    return [
        Query("data_through", fresh, "The release's data reach exactly the last complete arrival day."),
        Query("row_count.published", listed, "The release states the number of rows that the mart has."),
    ]


def calendar(mart: str, start: str, grain: str, latest: date, *, severity: Severity = "critical") -> list[Check]:
    """Return checks that periods begin where their grain does, in one rhythm, and that none begins after the day `latest`.

    The first day of a week is configurable, so weeks must agree with each other, not with Monday. `severity` is that of a period
    after `latest`.
    """
    column, grains = identifier(start), identifier(grain)
    aligned = f"""
        SELECT {grains} AS grain, {column} AS day, first_value(dayofweek({column})) OVER (PARTITION BY {grains}) AS weekday
        FROM {table(mart)}"""
    return [
        holds(
            mart,
            f"{start}.not_in_future",
            f"{column} <= {literal(latest)}",
            f"No period begins after {latest}.",
            severity=severity,
        ),
        holds(
            mart,
            f"{start}.aligned",
            """CASE grain WHEN 'week' THEN dayofweek(day) = weekday WHEN 'month' THEN day(day) = 1
                WHEN 'quarter' THEN day = date_trunc('quarter', day) ELSE day IS NOT NULL END""",
            "Months and quarters begin on their first day, and all weeks on the same weekday.",
            rows=aligned,
        ),
    ]


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
    """Return checks that the newest day has as much of `measure` as the last 8 same weekdays had, per `keys`, of rows `where`.

    The tested day is not among them, nor is one without anything or 20 times off their median, on which something failed. With
    fewer than four of them left, or less than a minimum of volume, nothing is said. A day without a row has nothing. Of what
    `is_raw`, rows as they landed, that says nothing, since a source may come late, and nothing refuses: one bot makes ten times
    a small company's day. Beyond twice or half their median, and four deviations (1.4826 × MAD, that of a normal distribution),
    the day is a warning; beyond 20 times it refuses.

    sources: what the measure is made of, one source or one for each value of the only key. Where that is late, so that the newest
    day has not been exported yet, nothing refuses.
    """
    names = [identifier(key) for key in keys]
    listed = "".join(f"{name}, " for name in names)
    # The keys of a day that is not there are those of the days before.
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
            f"middle / {_IMPOSSIBLE}",
            f"middle * {_IMPOSSIBLE}",
            f"The newest day has neither lost nor multiplied its {measure}: it is less than {_IMPOSSIBLE} times off its weekday.",
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
                WHERE volume BETWEEN center / {_IMPOSSIBLE} AND center * {_IMPOSSIBLE} GROUP BY ALL
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
    """Split a bound that refuses: rows of sources that are late get one that warns, with the remedy."""
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
    """Return checks of columns against the last release: what was filled is not all NULL, and money is of the same order.

    As a warning, no column is NULL in a quarter of the rows more than before. Money may grow or shrink up to 20 times in total,
    which a night does not do and another unit does.
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
    is_off = f"abs(total) NOT BETWEEN abs(amount) / {_IMPOSSIBLE} AND abs(amount) * {_IMPOSSIBLE}"
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
            f"No sum of money is {_IMPOSSIBLE} times that of the last release, or a part of it so small.",
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
    """Return the check that the mart is not what the last release has, to the last row, when the data reach a later day.

    `severity`: "critical" where a further day with facts cannot leave a mart as it was; without one it is a warning.
    """
    same = mart in context.unchanged
    if mart in context.idle:
        severity = "warning"
    sql = f"SELECT {int(same)}, '{'the same rows' if same else 'other rows'}', 'other rows'"
    return Query("rows.renewed", sql, "With a further day of data the mart is no longer that of the last release.", severity)
