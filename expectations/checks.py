"""The kinds of check, and the checks shared by marts.

Belongs here: the two kinds of check as plain data, the context of a suite, and builders for rules of several marts (schema, row
counts, NULLs, ranges, grain, breakdowns, freshness). Does not belong here: comparisons with earlier days and releases
(`history`), rules of one mart (`suites`) or the evaluation of checks (`engine`, `gate`).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Literal, NamedTuple

Severity = Literal["critical", "warning"]
Status = Literal["passed", "failed", "error"]

# The gate attaches the candidate under this name, the same catalog that readers of `marts.duckdb` see.
DATABASE = "marts"

# The breakdowns that a mart may have; ('all', 'all') is always among them.
DIMENSIONS = ("all", "channel", "device", "country", "plan", "role", "city_tier", "industry")

# A change by more than this factor means that data are lost or counted in another unit.
IMPOSSIBLE = 20

# If a smaller share of the newest day's arrivals happened on that day, the day has not been exported yet.
LATE_SHARE = 1 / IMPOSSIBLE

# A mart of a few dozen rows may triple when a month begins; growth by fewer rows than this is not significant.
_GROWTH_SLACK = 1_000


class SourceCounts(NamedTuple):
    """Rows of one source according to the lake's manifests: `landed` = `accepted` + `quarantined`."""

    landed: int
    accepted: int
    quarantined: int


class PreviousColumn(NamedTuple):
    """A column in the last release: rows in which it is not NULL, and its sum when it is money."""

    filled: int
    total: Decimal | None = None


class Late(NamedTuple):
    """A source exported a day late: the day of its last facts, and its newest arrival day."""

    last_day: date
    arrival_day: date


@dataclass(frozen=True)
class Context:
    """Facts beside the candidate: the last complete arrival day, the night's date and the last release's rows.

    `arrived` counts, by source, the rows that the night read from the lake, without looking at any mart; `advertised` sums the
    lake's advertising (counts, and `spend` in the reporting currency), one row per key, up to `data_through`.
    `previous_row_counts` has rows per mart of the current release, `previous_columns` the figures of its columns. A mart absent
    from them is new in this release and gets only the absolute minimum. `unchanged` names marts whose rows equal those of that
    release although the data reach a later day. `idle` names marts without a fact on the newest day, which need not change.
    `awaited` names the missing facts behind empty marts, `late` the sources exported a day late. Raises ValueError when the
    dates or the two statements about the last release disagree, since a bound without a comparison would always pass.
    """

    data_through: date
    as_of: date
    is_first_release: bool
    previous_row_counts: Mapping[str, int] = field(default_factory=dict)
    arrived: Mapping[str, SourceCounts] = field(default_factory=dict)
    advertised: Mapping[str, int | Decimal] = field(default_factory=dict)
    previous_columns: Mapping[str, Mapping[str, PreviousColumn]] = field(default_factory=dict)
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
    """A check evaluated by Great Expectations on the mart's table.

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
    """A check in SQL that returns one row (violations, observed, expected) and passes when `violations` is 0.

    Observed and expected are shown to people: counts, sums, days or column types, never a value of a row.
    """

    name: str
    sql: str
    explanation: str
    severity: Severity = "critical"
    kind: Literal["query"] = "query"


Check = Expectation | Query


@dataclass(frozen=True)
class Waiver:
    """Permission to publish, up to and including a day, although one named critical check fails; with author and reason."""

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
    """Result of one check: its status, the two numbers compared, and for an error why it could not be evaluated."""

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
    """Return a check that the SQL condition `rule` is true in every row; NULL counts as false.

    `rows` replaces the mart's table by a subquery, for rules over window functions.
    """
    source = f"({rows})" if rows else table(mart)
    sql = f"""
        SELECT count(*) FILTER (WHERE ({rule}) IS NOT TRUE) AS violations, violations || ' of ' || count(*) || ' rows', '0'
        FROM {source}"""
    return Query(name, sql, explanation, severity)


def ratio(rate: str, value: str) -> str:
    """Return the rule that a rate equals `value` within 1e-9, and is NULL exactly where `value` is (an empty denominator)."""
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
    """Return one check per column that it is never NULL."""
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
    if len(grain) == 1:  # GX has no compound expectation for one column
        kind, arguments = "ExpectColumnValuesToBeUnique", {"column": grain[0]}
    return Expectation("grain.unique", kind, arguments, "0 duplicates", f"There is one row per {', '.join(grain)}.")


def breakdown(mart: str, keys: Sequence[str], scope: Sequence[str], sums: Mapping[str, float]) -> list[Check]:
    """Return checks that ('all', 'all') occurs once for each of `keys`, and that each dimension's segments add up to it.

    `keys` is the grain without dimension and segment. A dimension that occurs within one value of `scope` (columns of `keys`;
    empty means the whole mart) must be complete within it. `sums` maps each measure to the rounding allowed per segment, 0 for
    counts.
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
    """Return checks of the release's own statements about this mart: the last day of its data, and its number of rows."""
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
    """Return checks that periods are aligned with their grain, and that none begins after the day `latest`.

    The first day of a week is configurable, so weeks must agree with each other, not with Monday. `severity` applies to periods
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
