"""The schema `control` of the build file: the configuration as tables, and a night's decisions before dbt starts.

Belongs here: the tables and their rows. Does not belong here: choosing what a night replaces (`fold_plan`).
"""

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestration.base import digests
from orchestration.base.sql import exact
from orchestration.config.schema import Config
from orchestration.landing.lake import Lake, Partition

if TYPE_CHECKING:
    import duckdb

Partitions = Mapping[str, Mapping[date, Partition]]
"""Partitions of the lake by source and arrival day."""

CONTROL_TABLES = """
create schema if not exists lake;
create schema if not exists control;
create table if not exists control.folded (source varchar, arrived_date date, digest varchar, primary key (source, arrived_date));
create table if not exists control.copied (source varchar, arrived_date date, digest varchar);
create table if not exists control.standing (node_id varchar, digest varchar, result varchar);
create table if not exists control.digests (name varchar primary key, digest varchar);
create table if not exists control.arrivals (
  source varchar, arrived_date date, landed_count bigint, lake_count bigint, quarantined_count bigint
);
create table if not exists control.happened (source varchar, arrived_date date, happened_date date, row_count bigint);
create or replace view control.first_happened as select min(happened_date) as happened_date from control.happened;
create or replace table control.planned_digests (name varchar, digest varchar);
create table if not exists control.affected_visitor_days (event_date date, visitor_id varchar);
create table if not exists control.partitions_to_fold (arrived_date date);
create table if not exists control.affected_as_of (first_date date);
create table if not exists control.folded_through (data_through date);
create or replace table control.run (data_through date, is_rebuild boolean);
create or replace table control.planned_by (run_id varchar);
create or replace table control.landed_files (source varchar, arrived_date date, landed_file varchar, landed_ns bigint);
create or replace table control.landed_sources (source varchar, is_landed boolean);
create or replace table control.event_names (landed_name varchar, core_name varchar);
create or replace table control.plans (landed_name varchar, core_name varchar);
create or replace table control.denied_ids (denied_id varchar);
create or replace table control.ignored_referrers (host varchar);
create or replace table control.site_channel_rules (
  rule_number integer, channel varchar, source_pattern varchar, medium_pattern varchar, host_pattern varchar,
  click_pattern varchar
);
create or replace table control.page_segments (segment varchar, is_kept boolean, precedes_id boolean);
create or replace table control.funnel_steps (
  funnel varchar, step_number integer, step varchar, event varchar, window_seconds bigint
);
create or replace table control.funnel_conditions (
  funnel varchar, step_number integer, condition_number integer, attribute varchar, operator varchar, literal_text varchar,
  literal_number decimal(38, 6)
);
create or replace table control.metric_targets (metric varchar, target decimal(18, 6));
create or replace table control.target (source varchar, arrived_date date, digest varchar);
"""


def configuration(config: Config) -> dict[str, list[tuple[Any, ...]]]:
    """Return the rows of every table of `control` that holds configuration, by table."""
    kept, before_ids = config.pages.keep, config.pages.id_segments_after
    return {
        "event_names": list(config.event_names.items()),
        "plans": list(config.plans.items()),
        "denied_ids": [(denied,) for denied in config.identity_deny_list],
        "ignored_referrers": [(host,) for host in config.ignored_referrers],
        "site_channel_rules": [
            (number, rule.channel, rule.source, rule.medium, rule.host, rule.click)
            for number, rule in enumerate(config.channel_rules, start=1)
        ],
        "page_segments": [(segment, segment in kept, segment in before_ids) for segment in sorted({*kept, *before_ids})],
        # As text: DuckDB misreads a bound Decimal with a positive exponent (1E+3).
        "metric_targets": [(name, format(target, "f")) for name, target in config.targets.items()],
        "funnel_steps": [
            (funnel.name, number, step.step, step.event, funnel.window_seconds)
            for funnel in config.funnels
            for number, step in enumerate(funnel.steps, start=1)
        ],
        "funnel_conditions": [
            (
                funnel.name,
                step_number,
                condition_number,
                condition.attribute,
                condition.operator,
                text,
                None if number is None else format(number, "f"),
            )
            for funnel in config.funnels
            for step_number, step in enumerate(funnel.steps, start=1)
            for condition_number, condition in enumerate(step.conditions, start=1)
            for text, number in zip(
                condition.texts or (None,), condition.numbers or (None,) * max(len(condition.texts), 1), strict=True
            )
        ],
    }


def write_configuration(connection: "duckdb.DuckDBPyConnection", config: Config) -> None:
    """Fill the empty tables of the configuration."""
    for table, rows in configuration(config).items():
        insert(connection, f"control.{table}", rows)


def write_targets(connection: "duckdb.DuckDBPyConnection", partitions: Partitions) -> None:
    """Write the partitions visible to dbt, and the landed files that they were read from, into the empty tables."""
    insert(
        connection,
        "control.target",
        [(source, day, _version(partition)) for source, days in partitions.items() for day, partition in days.items()],
    )
    insert(
        connection,
        "control.landed_files",
        [
            (source, day, file.name, file.mtime_ns)
            for source, days in partitions.items()
            for day, partition in days.items()
            for file in partition.landed
        ],
    )
    insert(connection, "control.landed_sources", [(source, bool(days)) for source, days in partitions.items()])


def write_arrivals(connection: "duckdb.DuckDBPyConnection", lake: Lake, partitions: Partitions) -> None:
    """Count the rows of the partitions in the temporary table `changed`: landed, accepted and refused."""
    changed = [
        partitions[source][day] for source, day in connection.execute("from changed").fetchall() if day in partitions[source]
    ]
    accepted = _rows_of(connection, [path for partition in changed for path in lake.data_files(partition)])
    refused = _rows_of(connection, [path for partition in changed for path in lake.refused_files(partition)])
    for table in ("arrivals", "happened"):
        connection.execute(
            f"delete from control.{table} as known using changed"
            " where known.source = changed.source and known.arrived_date = changed.arrived_date"
        )
    insert(
        connection,
        "control.arrivals",
        [
            (
                partition.source,
                partition.arrived_date,
                sum(file.rows for file in partition.landed),
                sum(accepted[path] for path in lake.data_files(partition)),
                sum(refused[path] for path in lake.refused_files(partition)),
            )
            for partition in changed
        ],
    )
    insert(
        connection,
        "control.happened",
        [
            (partition.source, partition.arrived_date, date.fromisoformat(day), rows)
            for partition in changed
            for day, rows in partition.happened.items()
        ],
    )


def insert(connection: "duckdb.DuckDBPyConnection", table: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows into a table, in the order of its columns."""
    import pyarrow as pa

    if rows:
        # As a relation: 30,000 rows bound as parameters take a second.
        columns = {f"column_{number}": pa.array(values) for number, values in enumerate(zip(*rows, strict=True))}
        connection.register("rows_to_insert", pa.table(columns))
        connection.execute(f"insert into {table} from rows_to_insert")
        connection.unregister("rows_to_insert")


def _version(partition: Partition) -> str:
    """A change of it shows that a partition's rows may be others, or which of them stays of a key.

    Of states written at one time that of the file landed last stays: the order of files by time and name is part of it.
    """
    files = sorted(partition.landed, key=lambda file: (file.mtime_ns, file.name))
    order = [file.name for file in files]
    return digests.of_value([partition.digest, order])


def _rows_of(connection: "duckdb.DuckDBPyConnection", files: Sequence[Path]) -> dict[Path, int]:
    """Row counts of Parquet files, from their footers."""
    if not files:
        return {}
    found = connection.execute(
        "select file_name, num_rows from parquet_file_metadata(?)", [[exact(path) for path in files]]
    ).fetchall()
    return {Path(name): rows for name, rows in found}
