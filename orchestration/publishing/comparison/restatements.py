"""The ledger of restatements: figures of closed periods that changed since the last release, with the cause.

Belongs here: the rows of the mart `mart_restatements__release`, and the evidence for each cause. Does not belong here:
comparing two versions of the marts (`changes`).

dbt builds the mart empty. Its rows are written into a candidate that already holds every other mart, so that the build never
reads a release. What earlier releases restated is in the last release and nowhere else: it is copied from there.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date

import duckdb

from orchestration.base.sql import identifier, literal
from orchestration.marts import MartSpec
from orchestration.publishing.comparison.changes import Snapshot, moved_sql
from orchestration.publishing.facts import RunFacts
from orchestration.publishing.manifest import Changes, Manifest, Restated, RowChanges
from orchestration.publishing.release import Release

LEDGER = "mart_restatements__release"

# A year can be compared with the one before it, and the month in which somebody does so; what is older only grows the file.
KEPT_DAYS = 400

# The first cause with evidence is the cause. A new rule may move anything, and an erasure what its persons were part of;
# the others are told of the days that they touch, the rarer ones first, since facts are late on every night.
CAUSES = ("changed_rule", "erasure", "replaced_files", "refunds", "merges", "late_facts", "other")

_LAST_RELEASE = "last_release"


@dataclass(frozen=True)
class Catalogs:
    """Catalog names of the attached build file and candidate's file."""

    build: str
    candidate: str


_PERIOD_ENDS = """
CASE period WHEN 'week' THEN period_start + 6 WHEN 'month' THEN last_day(period_start)
  WHEN 'quarter' THEN last_day(CAST(period_start + INTERVAL 2 MONTH AS DATE)) ELSE period_start END
"""

# Days of which something new is known, by cause and source. A day's file that was replaced counts with the days on which its
# rows happened, as it is now, and with the arrival day itself.
_EVIDENCE = """
CREATE OR REPLACE TEMP TABLE evidence AS
SELECT 'late_facts' AS cause, source, happened_date AS day, sum(row_count)::BIGINT AS facts
FROM {build}.control.happened JOIN fresh USING (source, arrived_date) WHERE NOT is_replaced GROUP BY ALL
UNION ALL
SELECT 'replaced_files', source, happened_date, NULL
FROM {build}.control.happened JOIN fresh USING (source, arrived_date) WHERE is_replaced
UNION ALL
SELECT 'replaced_files', source, arrived_date, NULL FROM fresh WHERE is_replaced
UNION ALL
SELECT 'refunds', 'payments', unnest([paid_date, original_paid_date]), NULL
FROM {build}.intermediate.int_money__payments AS payments
JOIN fresh ON fresh.source = 'payments' AND fresh.arrived_date = payments.landed_date
WHERE payments.status = 'refunded'
UNION ALL
SELECT 'merges', unnest(['events', 'orders']), event_date, NULL FROM merged_days
"""

# Persons who, by what arrived since, are one and were several: they have a pair of ids that nothing older shows, and more than
# one identity in what is older, where a device with a user counts as that user.
_MERGED_DAYS = """
CREATE OR REPLACE TEMP TABLE merged_days AS
WITH rows AS (
  SELECT anonymous_id, user_id, landed_date IN (SELECT arrived_date FROM fresh WHERE source = 'events') AS is_new
  FROM {build}.intermediate.int_activity__visitor_day WHERE NOT is_bot GROUP BY ALL
),
old AS (SELECT anonymous_id, user_id FROM rows WHERE NOT is_new),
linked AS (SELECT anonymous_id, min(user_id) AS first_user_id FROM old WHERE user_id IS NOT NULL GROUP BY anonymous_id),
new_pairs AS (
  SELECT anonymous_id, user_id FROM rows WHERE is_new AND anonymous_id IS NOT NULL AND user_id IS NOT NULL
  EXCEPT SELECT anonymous_id, user_id FROM old
),
concerned AS (
  SELECT DISTINCT visitors.person_id FROM new_pairs
  JOIN {build}.intermediate.int_identity__visitors AS visitors USING (anonymous_id, user_id)
),
identities AS (
  SELECT visitors.person_id, coalesce('u:' || old.user_id, 'u:' || linked.first_user_id, 'a:' || old.anonymous_id) AS identity
  FROM old
  JOIN {build}.intermediate.int_identity__visitors AS visitors
    ON visitors.anonymous_id IS NOT DISTINCT FROM old.anonymous_id AND visitors.user_id IS NOT DISTINCT FROM old.user_id
  LEFT JOIN linked ON linked.anonymous_id = old.anonymous_id
  WHERE visitors.person_id IN (FROM concerned)
),
merged AS (SELECT person_id FROM identities GROUP BY person_id HAVING count(DISTINCT identity) > 1)
SELECT DISTINCT event_date FROM {build}.core.fct_person_days WHERE person_id IN (FROM merged)
"""

# Evidence of the period itself goes before that of any other day: a person's first day moves, and with it whether it came back.
_RESTATED = """
WITH figures AS (
  SELECT moved.*, {ends} AS period_end, facts, is_onward FROM moved JOIN shapes USING (mart)
),
periods AS (SELECT DISTINCT mart, period, period_start, period_end, facts, is_onward FROM figures),
found AS (
  SELECT periods.mart, periods.period, periods.period_start,
    evidence.day >= periods.period_start AND (periods.is_onward OR evidence.day <= periods.period_end) AS is_within,
    list(DISTINCT evidence.cause) AS causes, coalesce(sum(evidence.facts), 0)::BIGINT AS facts
  FROM periods JOIN evidence ON list_contains(periods.facts, evidence.source) AND evidence.day <= $through
  GROUP BY ALL
),
judged AS (
  SELECT periods.*, coalesce(near.facts, 0) AS late_fact_count,
    list_filter($causes, lambda cause: list_contains(
      list_concat($everywhere, coalesce(near.causes, far.causes, [])), cause
    )) AS possible
  FROM periods
  LEFT JOIN found AS near ON near.is_within AND (near.mart, near.period, near.period_start)
    = (periods.mart, periods.period, periods.period_start)
  LEFT JOIN found AS far ON NOT far.is_within AND (far.mart, far.period, far.period_start)
    = (periods.mart, periods.period, periods.period_start)
)
INSERT INTO restated BY NAME
SELECT $release_id AS release_id, $previous_release_id AS previous_release_id, $data_through AS data_through,
  mart, series, period, period_start, measure, value_before, value_after,
  coalesce(value_after, 0) - coalesce(value_before, 0) AS change,
  (coalesce(value_after, 0) - value_before) / nullif(abs(value_before), 0) AS change_rate,
  coalesce(possible[1], 'other') AS cause, coalesce(nullif(array_to_string(possible, ', '), ''), 'other') AS possible_causes,
  late_fact_count
FROM figures JOIN judged USING (mart, period, period_start)
"""


def write(
    connection: duckdb.DuckDBPyConnection,
    catalogs: Catalogs,
    specs: Mapping[str, MartSpec],
    last: Release | None,
    facts: RunFacts,
) -> int:
    """Fill the ledger of a candidate that holds all its other marts; returns how many figures it restates.

    connection: one on which both files are attached. specs: the candidate's marts. last: the current release; None before the
    first, which restates nothing.
    """
    ledger = f"{identifier(catalogs.candidate)}.{identifier(LEDGER)}"
    connection.execute(f"DELETE FROM {ledger}")
    if last is None:
        return 0
    connection.execute(f"CREATE OR REPLACE TEMP TABLE restated AS FROM {ledger}")
    with _attached(connection, last):
        before = Snapshot.of_release(_LAST_RELEASE, last.manifest)
        after = Snapshot.of_tables(connection, catalogs.candidate, specs, facts.data_through)
        _keep_history(connection, before, facts)
        connection.execute(f"CREATE OR REPLACE TEMP TABLE moved AS {moved_sql(specs, before, after)}")
    count = int(connection.execute("SELECT count(*) FROM moved").fetchall()[0][0])
    if count:
        _judge(connection, identifier(catalogs.build), specs, last.manifest, facts)
    order = ", ".join(map(identifier, specs[LEDGER].grain)) or "ALL"
    connection.execute(f"INSERT INTO {ledger} BY NAME FROM restated ORDER BY {order}")
    for table in ("restated", "moved"):
        connection.execute(f"DROP TABLE {table}")
    return count


@contextmanager
def _attached(connection: duckdb.DuckDBPyConnection, release: Release) -> Iterator[None]:
    connection.execute(f"ATTACH {literal(str(release.database))} AS {_LAST_RELEASE} (READ_ONLY)")
    try:
        yield
    finally:
        connection.execute(f"DETACH {_LAST_RELEASE}")


def _keep_history(connection: duckdb.DuckDBPyConnection, before: Snapshot, facts: RunFacts) -> None:
    if LEDGER not in before.columns:
        return
    known = {name for (name,) in connection.execute("SELECT column_name FROM (DESCRIBE restated)").fetchall()}
    shared = ", ".join(identifier(column.name) for column in before.columns[LEDGER] if column.name in known)
    connection.execute(
        f"INSERT INTO restated BY NAME SELECT {shared} FROM {before.table(LEDGER)} WHERE data_through > ?::DATE - ?",
        [facts.data_through, KEPT_DAYS],
    )


def _judge(
    connection: duckdb.DuckDBPyConnection, build: str, specs: Mapping[str, MartSpec], last: Manifest, facts: RunFacts
) -> None:
    connection.execute("CREATE OR REPLACE TEMP TABLE fresh (source VARCHAR, arrived_date DATE, is_replaced BOOLEAN)")
    if fresh := list(_fresh(last, facts)):
        connection.executemany("INSERT INTO fresh VALUES (?, ?, ?)", fresh)
    connection.execute(_MERGED_DAYS.format(build=build))
    connection.execute(_EVIDENCE.format(build=build))
    connection.execute("CREATE OR REPLACE TEMP TABLE shapes (mart VARCHAR, facts VARCHAR[], is_onward BOOLEAN)")
    rows = [(mart, list(spec.periods.facts), spec.periods.onward) for mart, spec in specs.items() if spec.periods]
    connection.executemany("INSERT INTO shapes VALUES (?, ?, ?)", rows)
    rules_differ = (last.config_digest, last.dbt_manifest_digest) != (facts.config_digest, facts.dbt_manifest_digest)
    everywhere = [*(["changed_rule"] if rules_differ else []), *(["erasure"] if facts.erased_persons else [])]
    connection.execute(
        _RESTATED.format(ends=_PERIOD_ENDS),
        {
            "through": last.data_through,
            "causes": list(CAUSES),
            "everywhere": everywhere,
            "release_id": facts.release_id,
            "previous_release_id": last.release_id,
            "data_through": facts.data_through,
        },
    )


def _fresh(last: Manifest, facts: RunFacts) -> Iterator[tuple[str, date, bool]]:
    """Arrival days whose contents the last release lacks, and whether it had other contents of them."""
    for source in {*facts.days, *last.sources}:
        record, days = last.sources.get(source), facts.days.get(source, {})
        known = record.days if record else {}
        # A release of before the days were kept: what is newer than its newest day is new, of the others nothing is known.
        is_listed = not (record and record.partitions and not known)
        for day in sorted({*days, *known}):
            if is_listed and days.get(day) != known.get(day):
                yield source, day, day in known
            elif not is_listed and record is not None and record.last_dt is not None and day > record.last_dt:
                yield source, day, False


def summary(
    connection: duckdb.DuckDBPyConnection, after: Snapshot, rows: Mapping[str, RowChanges | str], release_id: str
) -> Changes:
    """Summarise a release's restatements, from its published ledger, together with the changes of its rows."""
    compared = {mart: found for mart, found in rows.items() if not isinstance(found, str)}
    incomparable = {mart: found for mart, found in rows.items() if isinstance(found, str)}
    if LEDGER not in after.columns:
        return Changes(compared, incomparable, {}, 0, {})
    ledger = after.table(LEDGER)
    periods = (
        f"SELECT mart, period, period_start, cause, max(abs(change_rate)) AS rate FROM {ledger} WHERE release_id = ? GROUP BY ALL"
    )
    restated = {
        mart: Restated(count, first, last, largest, dict(zip(causes, of_causes, strict=True)))
        for mart, count, first, last, largest, causes, of_causes in connection.execute(
            f"WITH periods AS ({periods}), by_cause AS (SELECT mart, cause, count(*) AS n FROM periods GROUP BY ALL)"
            " SELECT mart, count(DISTINCT (period, period_start)), min(period_start), max(period_start), max(rate),"
            " (SELECT list(cause ORDER BY n DESC, cause) FROM by_cause WHERE by_cause.mart = periods.mart),"
            " (SELECT list(n ORDER BY n DESC, cause) FROM by_cause WHERE by_cause.mart = periods.mart)"
            " FROM periods GROUP BY mart ORDER BY mart",
            [release_id],
        ).fetchall()
    }
    causes = connection.execute(
        f"SELECT cause, count(DISTINCT (period, period_start)) AS n FROM ({periods}) GROUP BY cause ORDER BY n DESC, cause",
        [release_id],
    ).fetchall()
    total = connection.execute(f"SELECT count(DISTINCT (period, period_start)) FROM ({periods})", [release_id]).fetchall()[0][0]
    return Changes(compared, incomparable, restated, int(total), dict(causes))
