"""ClickHouse's own windowFunnel and retention over the events of the simulated company against the published marts.

Belongs here: that two marts say what the functions they are defined by would say. Does not belong here: the rules of a chain or a
cohort one by one (`tests/dbt`, `tests/oracles`).

Compared are counts of persons: for every shipped funnel and step under `entry_grain = 'all'`, in all (a breakdown is by what a
person was when its chain began, of which a depth says nothing), and for every mature cell of `first_seen` cohorts by day and by
month under the rule `exact`, in all and by channel, device and country. Taken from the build
file are the events without duplicates and bots, the person behind each and the person's segments; ClickHouse finds the calendar
days, the cohorts, the milestones (third active day after the first value, first payment) and the chains itself.

Agreement is exact, because the definitions coincide:

- windowFunnel in its default mode gives the depth of the deepest chain that begins at any first step, later steps in between
  notwithstanding, and its window is inclusive. With times in whole microseconds, which it takes as plain numbers, no rounding
  changes an order or a window's end.
- Events of equal time are put in step order there as here. They differ only where one event may stand for several steps: beside
  another of the same time it may serve two of them there and never here. In the shipped funnels no event stands for two.
- It gives a depth and no times, and one number per person: so seconds between steps, and entry periods shorter than all, in which
  a chain counts by its start, are not compared.
- retention() tells of each condition whether it was met by someone who also met the first, which is to be there in the cohort's
  own period; it takes at most 32 conditions, hence days 0 to 30. Immature cells are NULL in the mart and left out.
"""

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.conftest import PROJECT, environment_of
from tests.integration.conftest import ask

ZONE = "Asia/Shanghai"
DIMENSIONS = ("channel", "device", "country")
DAY_PERIODS, MONTH_PERIODS = 31, 12
SEGMENTS = "array join [('all', 'all'), " + ", ".join(f"('{name}', {name})" for name in DIMENSIONS) + "] as segment"
# Read with these types nothing can be NULL, of which windowFunnel would take eight conditions at most.
EVENT_FILE = (
    "file('events.parquet', Parquet, 'person_id String, event String, at UInt64, channel String, device String, country String')"
)
PAYMENT_FILE = "file('payments.parquet', Parquet, 'person_id String, at UInt64')"
# ClickHouse in a process of its own: its library brings an allocator and signal handlers along.
CLICKHOUSE = """
import json, sys, chdb
asked = json.load(sys.stdin)
json.dump({name: json.loads(str(chdb.query(sql, "JSONCompact")))["data"] for name, sql in asked.items()}, sys.stdout)
"""
EVENTS = """
    select
      visitors.person_id as person_id,
      events.event as event,
      epoch_us(events.occurred_at)::ubigint as at,
      coalesce(persons.channel, '(none)') as channel,
      coalesce(persons.device, '(none)') as device,
      coalesce(persons.country, '(none)') as country
    from warehouse.intermediate.int_events__unique as events
    inner join warehouse.intermediate.int_identity__visitors as visitors
      on events.anonymous_id is not distinct from visitors.anonymous_id and events.user_id is not distinct from visitors.user_id
    inner join warehouse.core.dim_persons as persons on visitors.person_id = persons.person_id
    where not events.is_bot
"""
PAYMENTS = """
    select users.person_id as person_id, epoch_us(payments.paid_at)::ubigint as at
    from warehouse.core.fct_payments as payments
    inner join warehouse.intermediate.int_identity__users as users on payments.user_id = users.user_id
    where payments.kind = 'subscription' and payments.status = 'succeeded'
"""


def test_funnels_are_those_of_window_funnel(company_home, clickhouse):
    for funnel in _shipped():
        expected = _counts(clickhouse[funnel])
        assert _funnel(company_home, funnel) == expected
        # Were minutes enough to get as far, the window would not have been compared.
        assert _counts(clickhouse[f"{funnel} in five minutes"]) != expected
        assert len(expected) > 3


@pytest.mark.parametrize(("grain", "least"), [("day", 20_000), ("month", 200)])
def test_retention_is_that_of_retention(company_home, clickhouse, grain, least):
    published = {
        (str(start), dimension, segment, index): (cohort, retained)
        for start, dimension, segment, index, cohort, retained in ask(
            company_home,
            f"""
            select cohort_start, dimension, segment, period_index, cohort_count, retained_count
            from marts.mart_retention__cohort
            where cohort_event = 'first_seen' and rule = 'exact' and cohort_grain = '{grain}' and is_mature
              and period_index < {DAY_PERIODS if grain == "day" else MONTH_PERIODS}
            """,
        )
    }
    cells = _cells(clickhouse[grain])
    assert len(published) > least
    assert published == {key: cells.get(key) for key in published}
    assert {key[:3] for key in cells} == {key[:3] for key in published} | {key[:3] for key in _running(company_home, grain)}
    if grain == "month":
        # Days that are cut elsewhere give other cells, so the cells do depend on the days.
        elsewhere = _cells(clickhouse["month in another zone"])
        assert published != {key: elsewhere.get(key) for key in published}


@pytest.fixture(scope="module")
def clickhouse(company_home, tmp_path_factory) -> dict[str, list[list[Any]]]:
    """Rows of every question, by its name, asked in one process."""
    folder = tmp_path_factory.mktemp("clickhouse")
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(f"attach '{company_home}/warehouse.duckdb' as warehouse (read_only)")
        for name, rows in (("events", EVENTS), ("payments", PAYMENTS)):
            connection.execute(f"copy ({rows}) to '{folder}/{name}.parquet' (format parquet)")
    questions = {grain: _retention_sql(grain, ZONE) for grain in ("day", "month")}
    questions["month in another zone"] = _retention_sql("month", "America/New_York")
    for funnel, (events, seconds) in _shipped().items():
        questions[funnel] = _funnel_sql(events, seconds)
        questions[f"{funnel} in five minutes"] = _funnel_sql(events, 300)
    done = subprocess.run(
        [sys.executable, "-c", CLICKHOUSE],
        cwd=folder,
        env=environment_of(company_home),
        input=json.dumps(questions),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _shipped() -> dict[str, tuple[list[str], int]]:
    """Events of the steps in order and the window in seconds, by shipped funnel."""
    with (PROJECT / "dbt_project" / "seeds" / "funnels.csv").open(newline="") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: (row["funnel"], int(row["step_number"])))
    funnels: dict[str, tuple[list[str], int]] = {}
    for row in rows:
        events, _ = funnels.setdefault(row["funnel"], ([], int(row["window_seconds"])))
        events.append(row["event"])
    return funnels


def _funnel_sql(events: list[str], seconds: int) -> str:
    steps = ", ".join(f"event = '{event}'" for event in events)
    day = f"toDate(fromUnixTimestamp64Micro(toInt64(at), '{ZONE}'))"
    return f"""
        with
          events as (select * from {EVENT_FILE}),
          values as (
            select person_id, min(at) as value_at from events where event = 'value_achieved' group by person_id
          ),
          days as (
            select person_id, {day} as day, min(at) as first_at
            from events group by person_id, day
          ),
          third_days as (
            select person_id, arraySort(groupArray((day, first_at)))[3].2 as at
            from days inner join values using (person_id)
            where day > toDate(fromUnixTimestamp64Micro(toInt64(value_at), '{ZONE}'))
            group by person_id having count() >= 3
          ),
          first_payments as (select person_id, min(at) as at from {PAYMENT_FILE} group by person_id),
          moments as (
            select person_id, event, at from events
            union all select person_id, 'active_on_third_day', at from third_days
            union all select person_id, 'subscription_paid', at from first_payments
          ),
          depths as (
            select person_id, windowFunnel({seconds * 1_000_000})(at, {steps}) as depth from moments group by person_id
          ),
          persons as (select distinct person_id from events)
        select step, count()
        from depths inner join persons using (person_id) array join range(1, depth + 1) as step
        group by all
    """


def _retention_sql(grain: str, zone: str) -> str:
    start = {"day": "{}", "month": "toStartOfMonth({})"}[grain]
    periods = {"day": DAY_PERIODS, "month": MONTH_PERIODS}[grain]
    conditions = ", ".join(f"period_index = {index}" for index in range(periods))
    return f"""
        with
          days as (
            select person_id, channel, device, country, toDate(fromUnixTimestamp64Micro(toInt64(at), '{zone}')) as day
            from {EVENT_FILE} group by all
          ),
          firsts as (select person_id, {start.format("min(day)")} as cohort_start from days group by person_id),
          periods as (
            select
              person_id, cohort_start, channel, device, country,
              dateDiff('{grain}', cohort_start, {start.format("day")}) as period_index
            from days inner join firsts using (person_id)
          ),
          returned as (
            select person_id, cohort_start, channel, device, country, retention({conditions}) as met from periods group by all
          )
        select toString(cohort_start), segment.1, segment.2, count(), sumForEach(met)
        from returned {SEGMENTS}
        group by all
    """


def _counts(rows: list[list[Any]]) -> dict[int, int]:
    return {int(step): int(count) for step, count in rows}


def _cells(rows: list[list[Any]]) -> dict[tuple[str, str, str, int], tuple[int, int]]:
    """Cohort's size and those retained, by cohort, dimension, segment and period."""
    return {
        (start, dimension, segment, index): (int(cohort), int(count))
        for start, dimension, segment, cohort, counts in rows
        for index, count in enumerate(counts)
    }


def _funnel(home: Path, funnel: str) -> dict[int, int]:
    """Persons by step; steps that nobody reached are left out, as ClickHouse counts none."""
    rows = ask(
        home,
        f"""
        select step_number, person_count from marts.mart_funnel__entry
        where funnel = '{funnel}' and entry_grain = 'all' and dimension = 'all' and person_count > 0
        """,
    )
    return dict(rows)


def _running(home: Path, grain: str) -> list[tuple[str, str, str]]:
    """Cohorts whose own period is not over: they have no mature cell."""
    rows = ask(
        home,
        f"""
        select cohort_start::varchar, dimension, segment from marts.mart_retention__cohort
        where cohort_event = 'first_seen' and rule = 'exact' and cohort_grain = '{grain}' and period_index = 0 and not is_mature
        """,
    )
    return [(start, dimension, segment) for start, dimension, segment in rows]
