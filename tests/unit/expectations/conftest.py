"""A small company whose marts agree with each other, as a release candidate on disk."""

import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import duckdb
import pytest

from expectations.checks import Arrived, Context

THROUGH = date(2026, 3, 31)
MARTS = ("mart_funnel__entry", "mart_retention__cohort", "mart_ltv__cohort", "mart_data_quality__daily")

# Every figure follows from one table of persons, so that sums, rates and cohorts agree by construction.
_MARTS_SQL = """
CREATE TEMP TABLE persons AS
SELECT i AS person, DATE '{through}' - (i % {days})::INTEGER AS day,
    1 + i % 3 + (i % 7 = 0)::INTEGER AS deepest, i % 20 AS lapses_after,
    ['direct', 'email', 'paid_search'][1 + i % 3] AS channel, ['mobile', 'desktop'][1 + i % 2] AS device,
    'c' || (i // 5 % {countries}) AS country
FROM range({persons}) AS t(i);

CREATE TEMP TABLE broken_down AS
SELECT persons.*, b.dimension, b.segment FROM persons, unnest([
    {{'dimension': 'all', 'segment': 'all'}}, {{'dimension': 'channel', 'segment': channel}},
    {{'dimension': 'device', 'segment': device}}, {{'dimension': 'country', 'segment': country}}
]) AS u(b);

CREATE TABLE mart_funnel__entry AS
WITH entries AS (
    SELECT 'purchase' AS funnel, entry_grain, CASE entry_grain WHEN 'day' THEN day WHEN 'week' THEN date_trunc('week', day)
        WHEN 'month' THEN date_trunc('month', day) ELSE (SELECT min(day) FROM persons) END::DATE AS entry_start, broken_down.*
    FROM broken_down, unnest(['day', 'week', 'month', 'all']) AS g(entry_grain)
),
steps AS (
    SELECT funnel, entry_grain, entry_start, dimension, segment, step_number::INTEGER AS step_number,
        ['view', 'cart', 'pay'][step_number] AS step, count(*) AS entrant_count,
        count(*) FILTER (WHERE deepest >= step_number) AS person_count,
        avg(lapses_after) FILTER (WHERE deepest >= step_number) AS average,
        median(lapses_after) FILTER (WHERE deepest >= step_number) AS middle,
        quantile_cont(lapses_after, 0.9) FILTER (WHERE deepest >= step_number) AS high
    FROM entries, range(1, 4) AS s(step_number) GROUP BY ALL
),
chained AS (
    SELECT *, lag(person_count) OVER (
        PARTITION BY funnel, entry_grain, entry_start, dimension, segment ORDER BY step_number
    ) AS previous_count
    FROM steps
)
SELECT funnel, entry_grain, entry_start, dimension, segment, step_number, step, entrant_count, person_count, previous_count,
    person_count / nullif(previous_count, 0) AS conversion_rate, person_count / entrant_count AS overall_rate,
    1 - person_count / nullif(previous_count, 0) AS drop_off_rate,
    CASE WHEN step_number > 1 THEN average END AS average_seconds_from_previous,
    CASE WHEN step_number > 1 THEN middle END::DOUBLE AS median_seconds_from_previous,
    CASE WHEN step_number > 1 THEN high END::DOUBLE AS p90_seconds_from_previous,
    CASE entry_grain WHEN 'day' THEN entry_start WHEN 'week' THEN entry_start + 6 WHEN 'month' THEN last_day(entry_start)
        ELSE DATE '{through}' END + 7 <= DATE '{through}' AS is_mature
FROM chained;

CREATE TABLE mart_retention__cohort AS
WITH cells AS (
    SELECT 'exact' AS rule, 'day' AS cohort_grain, k AS period_index, k AS last_period FROM range(15) AS t(k)
    UNION ALL SELECT 'on_or_after', 'day', k, k FROM range(15) AS t(k)
    UNION ALL FROM (VALUES ('bracket', 'day', 1, 3), ('bracket', 'day', 4, 7), ('bracket', 'day', 8, 14))
    UNION ALL SELECT rule, 'week', k, k FROM range(4) AS t(k), (VALUES ('exact'), ('on_or_after')) AS r(rule)
    UNION ALL SELECT rule, 'month', k, k FROM range(2) AS t(k), (VALUES ('exact'), ('on_or_after')) AS r(rule)
),
cohorts AS (
    SELECT cohort_event, rule, cohort_grain, date_trunc(cohort_grain, day)::DATE AS cohort_start, dimension, segment,
        period_index::INTEGER AS period_index, last_period, count(*) AS cohort_count,
        count(*) FILTER (WHERE lapses_after >= period_index) AS returned
    FROM broken_down, cells, unnest(['first_seen', 'signup']) AS e(cohort_event)
    WHERE cohort_event = 'first_seen' OR person % 2 = 0
    GROUP BY ALL
),
aged AS (
    SELECT *, CASE cohort_grain WHEN 'day' THEN cohort_start + last_period::INTEGER
        WHEN 'week' THEN cohort_start + (last_period * 7 + 6)::INTEGER
        ELSE last_day(cohort_start + to_months(last_period::INTEGER)) END <= DATE '{through}' AS is_mature
    FROM cohorts
)
SELECT cohort_event, rule, cohort_grain, cohort_start, dimension, segment, period_index, cohort_count,
    CASE WHEN is_mature THEN returned END AS retained_count,
    CASE WHEN is_mature THEN returned / cohort_count END AS retention_rate, is_mature
FROM aged;

CREATE TABLE mart_ltv__cohort AS
WITH months AS (
    SELECT date_trunc('month', day)::DATE AS cohort_month, dimension, segment, age_months::INTEGER AS age_months,
        count(*) AS customer_count,
        sum(person % 7 + 10 - age_months)::DECIMAL(18, 2) AS revenue
    FROM broken_down, range(3) AS a(age_months) WHERE person % 4 = 0 GROUP BY ALL
),
margins AS (
    SELECT *, (revenue * 0.8)::DECIMAL(18, 2) AS margin,
        last_day(cohort_month + to_months(age_months)) <= DATE '{through}' AS is_mature
    FROM months
)
SELECT cohort_month, dimension, segment, age_months, customer_count, CASE WHEN is_mature THEN revenue END AS revenue,
    CASE WHEN is_mature THEN margin END AS margin,
    CASE WHEN is_mature THEN
        (sum(margin) OVER (PARTITION BY cohort_month, dimension, segment ORDER BY age_months))::DOUBLE / customer_count
    END::DECIMAL(18, 4) AS cumulative_margin_per_customer, is_mature
FROM margins;

CREATE TABLE mart_data_quality__daily AS
WITH arrivals AS (
    SELECT DISTINCT day AS date, source, source = 'events' AS has_bots FROM persons, unnest(['events', 'users']) AS s(source)
)
SELECT date, source, 100::BIGINT AS landed_count, 90::BIGINT AS accepted_count, 3::BIGINT AS quarantined_count,
    7::BIGINT AS duplicate_count, CASE WHEN has_bots THEN 12::BIGINT END AS late_count,
    CASE WHEN has_bots THEN 5::BIGINT END AS bot_count, 1::BIGINT AS internal_count, 0.9::DOUBLE AS accepted_rate,
    0::BIGINT AS landing_difference, 0::BIGINT AS fact_difference,
    CASE WHEN has_bots THEN 0::INTEGER END AS arrival_delay_days_p50,
    CASE WHEN has_bots THEN 2::INTEGER END AS arrival_delay_days_p95
FROM arrivals;
"""

_PUBLICATION_SQL = """
CREATE OR REPLACE TABLE _publication AS SELECT 'r-0001' AS release_id, DATE '{through}' AS data_through,
    TIMESTAMP '2026-04-01 02:00:00' AS published_at, '0.1.0' AS code_version, NULL::VARCHAR AS model_version,
    [{listed}]::STRUCT(mart VARCHAR, row_count BIGINT)[] AS marts;
"""


# What the manifests of the lake count of the same: 45 arrival days.
ARRIVED = {source: Arrived(landed=4500, accepted=4365, quarantined=135) for source in ("events", "users")}


def build_candidate(path: Path, *, days: int = 45, persons: int = 900, countries: int = 2) -> Path:
    """Write a candidate of all marts."""
    with duckdb.connect(str(path)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(_MARTS_SQL.format(through=THROUGH, days=days, persons=persons, countries=countries))
        _publish(connection)
    return path


def _publish(connection: duckdb.DuckDBPyConnection) -> None:
    stored = connection.execute(
        "SELECT table_name FROM duckdb_tables() WHERE NOT temporary AND table_name <> '_publication' ORDER BY ALL"
    ).fetchall()
    counts = {mart: connection.execute(f"SELECT count(*) FROM {mart}").fetchone()[0] for (mart,) in stored}
    listed = ", ".join(f"{{'mart': '{mart}', 'row_count': {count}}}" for mart, count in counts.items())
    connection.execute(_PUBLICATION_SQL.format(through=THROUGH, listed=listed))


@pytest.fixture(scope="session")
def sound_candidate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a candidate of all marts that nothing is wrong with; not to be written to."""
    return build_candidate(tmp_path_factory.mktemp("candidate") / "marts.duckdb")


@pytest.fixture
def corrupt(sound_candidate: Path, tmp_path: Path) -> Callable[..., Path]:
    """Give a function that makes a candidate of one mart, or of all, after SQL that corrupts it.

    `before` runs as if the build had made the mart so: the release's own row counts follow it. `after` runs when they stand.
    """

    def build(mart: str | None = None, *, before: str = "", after: str = "") -> Path:
        path = tmp_path / "marts.duckdb"
        shutil.copy(sound_candidate, path)
        with duckdb.connect(str(path)) as connection:
            for other in MARTS:
                if mart not in (None, other):
                    connection.execute(f"DROP TABLE {other}")
            connection.execute(before)
            _publish(connection)
            connection.execute(after)
        return path

    return build


@pytest.fixture(scope="session")
def context() -> Context:
    """Describe a first release."""
    return Context(data_through=THROUGH, as_of=THROUGH, is_first_release=True, arrived=ARRIVED)
