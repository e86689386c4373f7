"""The build file: what dbt reads of the lake and of the configuration, and the plan of what a night folds in.

Belongs here: connections to `warehouse.duckdb`, its schemas `lake` (views on the lake's files) and `control` (configuration as
tables, the days that the night replaces, the partitions that are folded in). Does not belong here: what is computed from them
(`dbt_project`), and readers of published data, which never open this file.

The file is disposable: everything in it is rebuilt from the lake.
"""

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestration.base import digests, duck
from orchestration.base.errors import NorthstarError, UserError
from orchestration.base.sql import exact, literal
from orchestration.config.project import DBT_PROJECT
from orchestration.config.settings import Settings
from orchestration.landing.contract import CONTRACT
from orchestration.landing.lake import Lake, Partition, scan
from orchestration.landing.source import Source

if TYPE_CHECKING:
    import duckdb

_logger = logging.getLogger("northstar.night")

# A lake's manifest cuts days in the time zone that held when the file was ingested: two days on either side cover any other zone,
# since local times lie up to 26 hours apart.
_ZONE_SHIFTS = range(-2, 3)

# Of these a night needs at least one: without them there is neither activity nor revenue to speak of.
_NEEDED = ("events", "orders", "subscriptions", "payments")

_CONTROL_TABLES = """
create schema if not exists lake;
create schema if not exists control;
create table if not exists control.folded (source varchar, arrived_date date, digest varchar, primary key (source, arrived_date));
create table if not exists control.digests (name varchar primary key, digest varchar);
create table if not exists control.arrivals (
  source varchar, arrived_date date, landed_count bigint, lake_count bigint, quarantined_count bigint
);
create table if not exists control.happened (source varchar, arrived_date date, happened_date date, row_count bigint);
create table if not exists control.restatements (
  release_id varchar, previous_release_id varchar, data_through date, mart varchar, series varchar, period varchar,
  period_start date, measure varchar, value_before double, value_after double, change double, change_rate double, cause varchar,
  possible_causes varchar, late_fact_count bigint
);
create or replace table control.planned_digests (name varchar, digest varchar);
create table if not exists control.affected_days (event_date date primary key);
create or replace table control.run (data_through date, is_rebuild boolean);
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
create or replace temp table changed as select source, arrived_date from control.target limit 0;
"""

# A partition changed when the lake holds another version than is folded in, or no longer holds it within the night's horizon.
_CHANGED = """
insert into changed
select coalesce(target.source, folded.source), coalesce(target.arrived_date, folded.arrived_date)
from control.target as target
full join control.folded as folded on target.source = folded.source and target.arrived_date = folded.arrived_date
where target.digest is distinct from folded.digest
"""

# The days of what arrived and of what it replaces; the days of any other copy of the same events, wherever it lies; and, to the
# end, the days on which an event with a copy on an affected day has further copies: a day is only replaced with them.
_AFFECTED = """
insert or ignore into control.affected_days
with recursive
held as (
  select event_id, event_date, landed_date from core.fct_events
  union all
  select event_id, event_date, arrived_date from intermediate.int_events__duplicates
),
changed_events as (select arrived_date from changed where source = 'events'),
touched_ids as (
  select distinct event_id from arrived
  union
  select event_id from held where landed_date in (from changed_events)
),
touched_days as (
  select event_date from arrived
  union
  select event_date from held where landed_date in (from changed_events)
  union
  select event_date from held where event_id in (from touched_ids)
),
scattered as (
  select distinct copies.event_id, copies.event_date
  from held as copies
  where copies.event_id in (select event_id from intermediate.int_events__duplicates)
),
closed (event_date) as (
  select event_date from touched_days
  union
  select elsewhere.event_date
  from closed
  inner join scattered as here on closed.event_date = here.event_date
  inner join scattered as elsewhere on here.event_id = elsewhere.event_id
)
select event_date from closed
"""


@dataclass(frozen=True)
class FoldPlan:
    """What a night folds into the warehouse.

    data_through: last arrival day that is complete. changed: partitions per source that are new, replaced or withdrawn.
    affected_days: event days that are replaced. is_rebuild: whether everything is built anew, and why.
    """

    data_through: date
    changed: Mapping[str, int]
    affected_days: int
    rebuild_reason: str | None

    @property
    def is_rebuild(self) -> bool:
        """Whether everything is built anew."""
        return self.rebuild_reason is not None


class Warehouse:
    """The build file of one home. Methods open and close it themselves; a second process that holds it open is an error."""

    def __init__(self, settings: Settings, lake: Lake) -> None:
        self._settings = settings
        self._lake = lake

    @property
    def path(self) -> Path:
        """Where the build file lies."""
        return self._settings.warehouse

    @contextmanager
    def connect(self, *, read_only: bool = False) -> Iterator["duckdb.DuckDBPyConnection"]:
        """A connection with the house's limits, closed on leaving."""
        import duckdb

        temporary = self._settings.home / "tmp"
        temporary.mkdir(parents=True, exist_ok=True)
        try:
            connection = duck.connect(
                self.path,
                read_only=read_only,
                memory_limit=self._settings.config.memory_limit,
                temp_directory=temporary,
            )
        except (duckdb.IOException, duckdb.SerializationException, duckdb.InternalException, duckdb.FatalException) as error:
            raise NorthstarError(f"{self.path} cannot be opened: {str(error).splitlines()[0]}") from error
        try:
            yield connection
        finally:
            connection.close()

    def plan(self, as_of: date | None = None, *, anew: bool = False) -> FoldPlan:
        """Show the lake up to a day (default: all of it) to dbt and decide which event days the night replaces.

        anew: throw the build file away first. Nothing is folded yet: `mark_folded` records that, and until then the next plan
        contains this one. Raises UserError when none of what a night needs has landed.
        """
        partitions = {
            source: {day: partition for day, partition in self._lake.partitions(source).items() if as_of is None or day <= as_of}
            for source in CONTRACT
        }
        if not any(partitions[source] for source in _NEEDED):
            raise UserError(
                f"nothing to build: none of {', '.join(_NEEDED)} has landed in {self._settings.landing}"
                f"{'' if as_of is None else f' up to {as_of}'}; `northstar simulate` or `northstar import` write a landing zone"
            )
        data_through = self._data_through(partitions)
        self._lake.require_whole(partition for days in partitions.values() for partition in days.values())
        self._settings.home.mkdir(parents=True, exist_ok=True)
        if self.path.is_dir():
            raise NorthstarError(
                f"{self.path} is a folder, where the build file belongs; move it away and run `northstar nightly`"
            )
        if anew or self._is_damaged():
            for path in (self.path, self.path.with_suffix(".duckdb.wal")):
                path.unlink(missing_ok=True)
        with self.connect() as connection:
            connection.execute("begin")
            connection.execute(_CONTROL_TABLES)
            rebuild_reason = self._rebuild_reason(connection)
            if rebuild_reason is not None:
                connection.execute("delete from control.folded; delete from control.affected_days")
                connection.execute("delete from control.arrivals; delete from control.happened")
            _insert(connection, "control.planned_digests", list(self._digests().items()))
            self._write_configuration(connection)
            self._write_targets(connection, partitions)
            connection.execute(_CHANGED)
            self._write_arrivals(connection, partitions)
            for source in CONTRACT.values():
                scan = self._scan(source, partitions[source.name].values())
                connection.execute(f"create or replace view lake.{source.name} as {scan}")
            self._write_affected_days(connection, partitions["events"], is_rebuild=rebuild_reason is not None)
            scan = self._scan(CONTRACT["events"], self._to_fold(connection, partitions["events"].values()))
            connection.execute(f"create or replace view control.events_to_fold as {scan}")
            connection.execute("insert into control.run values (?, ?)", [data_through, rebuild_reason is not None])
            plan = FoldPlan(
                data_through=data_through,
                changed=dict(
                    connection.execute("select source, count(*) from changed group by source order by source").fetchall()
                ),
                affected_days=_scalar(connection, "select count(*) from control.affected_days"),
                rebuild_reason=rebuild_reason,
            )
            connection.execute("commit")
        return plan

    def _is_damaged(self) -> bool:
        """Whether the build file cannot be opened for another reason than that a process holds it."""
        try:
            with self.connect():
                return False
        except NorthstarError as error:
            if "lock on file" in str(error):
                raise
            _logger.warning("%s; it is thrown away and built anew from the lake", error)
            return True

    def mark_folded(self) -> None:
        """Record that everything the last plan showed is in the incremental models; in one transaction."""
        with self.connect() as connection:
            connection.execute("begin")
            connection.execute("delete from control.affected_days")
            connection.execute("delete from control.folded")
            connection.execute("insert into control.folded select source, arrived_date, digest from control.target")
            connection.execute("insert or replace into control.digests select name, digest from control.planned_digests")
            connection.execute("commit")

    def landed_sources(self) -> frozenset[str]:
        """Sources of which anything lies within the horizon of the last plan."""
        with self.connect(read_only=True) as connection:
            rows = connection.execute("select source from control.landed_sources where is_landed").fetchall()
        return frozenset(name for (name,) in rows)

    def row_counts(self, relations: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
        """Rows of each (schema, table) that exists as a table; views are not counted, since counting would compute them."""
        wanted = set(relations)
        with self.connect(read_only=True) as connection:
            tables = connection.execute("select schema_name, table_name, estimated_size from duckdb_tables()").fetchall()
        return {(schema, table): rows for schema, table, rows in tables if (schema, table) in wanted}

    def _data_through(self, partitions: Mapping[str, Mapping[date, Partition]]) -> date:
        newest = {source: max(days) for source, days in partitions.items() if days}
        required = self._settings.config.required_sources
        missing = [source for source in required if source not in newest]
        if missing:
            raise UserError(
                f"required_sources names {', '.join(missing)}, of which nothing has landed in {self._settings.landing}"
            )
        return min(newest[source] for source in required) if required else max(newest.values())

    def _rebuild_reason(self, connection: "duckdb.DuckDBPyConnection") -> str | None:
        known = dict(connection.execute("select name, digest from control.digests").fetchall())
        if not known:
            return "first night"
        changed = [name for name, digest in self._digests().items() if known.get(name) != digest]
        return f"{' and '.join(changed)} changed" if changed else None

    def _digests(self) -> dict[str, str]:
        return {"configuration": self._settings.folding_digest, "code": _incremental_code_digest(DBT_PROJECT)}

    def _write_configuration(self, connection: "duckdb.DuckDBPyConnection") -> None:
        config = self._settings.config
        _insert(connection, "control.event_names", list(config.event_names.items()))
        _insert(
            connection,
            "control.site_channel_rules",
            [
                (number, rule.channel, rule.source, rule.medium, rule.host, rule.click)
                for number, rule in enumerate(config.channel_rules, start=1)
            ],
        )
        _insert(connection, "control.plans", list(config.plans.items()))
        _insert(connection, "control.denied_ids", [(denied,) for denied in config.identity_deny_list])
        _insert(connection, "control.ignored_referrers", [(host,) for host in config.ignored_referrers])
        kept, before_ids = config.pages.keep, config.pages.id_segments_after
        _insert(
            connection,
            "control.page_segments",
            [(segment, segment in kept, segment in before_ids) for segment in sorted({*kept, *before_ids})],
        )
        # As text: DuckDB takes a bound Decimal with a positive exponent (1E+3) for another number.
        _insert(connection, "control.metric_targets", [(name, format(target, "f")) for name, target in config.targets.items()])
        _insert(
            connection,
            "control.funnel_steps",
            [
                (funnel.name, number, step.step, step.event, funnel.window_seconds)
                for funnel in config.funnels
                for number, step in enumerate(funnel.steps, start=1)
            ],
        )
        _insert(
            connection,
            "control.funnel_conditions",
            [
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
        )

    def _write_targets(self, connection: "duckdb.DuckDBPyConnection", partitions: Mapping[str, Mapping[date, Partition]]) -> None:
        _insert(
            connection,
            "control.target",
            [(source, day, partition.digest) for source, days in partitions.items() for day, partition in days.items()],
        )
        _insert(
            connection,
            "control.landed_files",
            [
                (source, day, file.name, file.mtime_ns)
                for source, days in partitions.items()
                for day, partition in days.items()
                for file in partition.landed
            ],
        )
        _insert(connection, "control.landed_sources", [(source, bool(days)) for source, days in partitions.items()])

    def _write_arrivals(
        self, connection: "duckdb.DuckDBPyConnection", partitions: Mapping[str, Mapping[date, Partition]]
    ) -> None:
        """Count the changed partitions: what ingest read of the landed files, and what their files in the lake really hold."""
        changed = [
            partitions[source][day] for source, day in connection.execute("from changed").fetchall() if day in partitions[source]
        ]
        accepted = _rows_of(connection, [path for partition in changed for path in self._lake.data_files(partition)])
        refused = _rows_of(connection, [path for partition in changed for path in self._lake.refused_files(partition)])
        for table in ("arrivals", "happened"):
            connection.execute(
                f"delete from control.{table} as known using changed"
                " where known.source = changed.source and known.arrived_date = changed.arrived_date"
            )
        _insert(
            connection,
            "control.arrivals",
            [
                (
                    partition.source,
                    partition.arrived_date,
                    sum(file.rows for file in partition.landed),
                    sum(accepted[path] for path in self._lake.data_files(partition)),
                    sum(refused[path] for path in self._lake.refused_files(partition)),
                )
                for partition in changed
            ],
        )
        _insert(
            connection,
            "control.happened",
            [
                (partition.source, partition.arrived_date, date.fromisoformat(day), rows)
                for partition in changed
                for day, rows in partition.happened.items()
            ],
        )

    def _write_affected_days(
        self, connection: "duckdb.DuckDBPyConnection", partitions: Mapping[date, Partition], *, is_rebuild: bool
    ) -> None:
        if is_rebuild:
            shifts = ", ".join(f"event_date + ({shift})" for shift in _ZONE_SHIFTS)
            connection.execute(
                "insert or ignore into control.affected_days"
                f" select unnest([{shifts}]) from (select distinct happened_date as event_date from control.happened"
                " where source = 'events')"
            )
            return
        days = [day for (day,) in connection.execute("select arrived_date from changed where source = 'events'").fetchall()]
        if not days:
            return
        # A changed day that is not among the partitions was withdrawn: nothing of it arrived.
        scan = self._scan(CONTRACT["events"], [partitions[day] for day in days if day in partitions])
        connection.execute(
            "create or replace temp view arrived as select event_id,"
            f" cast(occurred_at at time zone 'UTC' at time zone {literal(self._settings.config.reporting_timezone)} as date)"
            f" as event_date from ({scan})"
        )
        connection.execute(_AFFECTED)

    def _to_fold(self, connection: "duckdb.DuckDBPyConnection", partitions: Iterable[Partition]) -> list[Partition]:
        affected = [day for (day,) in connection.execute("select event_date from control.affected_days").fetchall()]
        near = {(day + timedelta(days=shift)).isoformat() for day in affected for shift in _ZONE_SHIFTS}
        return [partition for partition in partitions if not near.isdisjoint(partition.happened)]

    def _scan(self, source: Source, partitions: Iterable[Partition]) -> str:
        """A select over the files of partitions of a source; without files, one that returns no row of the same types."""
        return scan(source, [path for partition in partitions for path in self._lake.data_files(partition)])


def _incremental_code_digest(project: Path) -> str:
    """SHA-256 of the SQL that the incremental models are made of: when it changes, what they hold is no longer its result.

    Of the keys of sources theirs is the one of events.
    """
    models = [path for path in (project / "models").rglob("*.sql") if "replace_days" in path.read_text(encoding="utf-8")]
    inputs = [
        project / "models/staging/events/stg_events.sql",
        project / "models/intermediate/funnel/int_funnel__steps.sql",
        project / "seeds/funnels.csv",
        *(path for path in (project / "macros").rglob("*.sql") if path.name != "landing_keys.sql"),
    ]
    return digests.of_files(project, [*models, *inputs], beside=json.dumps(CONTRACT["events"].key))


def _insert(connection: "duckdb.DuckDBPyConnection", table: str, rows: Sequence[tuple[Any, ...]]) -> None:
    import pyarrow as pa

    if rows:
        # As a relation: 30,000 rows bound as parameters take a second.
        columns = {f"column_{number}": pa.array(values) for number, values in enumerate(zip(*rows, strict=True))}
        connection.register("rows_to_insert", pa.table(columns))
        connection.execute(f"insert into {table} from rows_to_insert")
        connection.unregister("rows_to_insert")


def _rows_of(connection: "duckdb.DuckDBPyConnection", files: Sequence[Path]) -> dict[Path, int]:
    """Rows of Parquet files by what their footers say."""
    if not files:
        return {}
    found = connection.execute(
        "select file_name, num_rows from parquet_file_metadata(?)", [[exact(path) for path in files]]
    ).fetchall()
    return {Path(name): rows for name, rows in found}


def _scalar(connection: "duckdb.DuckDBPyConnection", query: str) -> Any:
    row = connection.execute(query).fetchone()
    assert row is not None  # noqa: S101  (an aggregate returns a row)
    return row[0]
