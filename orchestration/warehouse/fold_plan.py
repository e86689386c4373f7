"""The plan of a night: the partitions to fold into the build file, and the visitor days and as-of dates to replace.

A visitor day is what one visitor did on one event day. An ordinary day brings late events of many earlier days, a few each:
replacing these days whole would compute thirty times as many events anew as have arrived.

Belongs here: comparing the lake with the folded partitions. Does not belong here: the lake's rows as dbt reads them
(`exposed_lake`), the tables of `control` (`control`), and the dependencies of incremental models (`incremental`).
"""

import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from orchestration.base.errors import UserError
from orchestration.base.sql import literal
from orchestration.config.settings import Settings
from orchestration.landing.contract import CONTRACT
from orchestration.landing.lake import Lake, Partition
from orchestration.warehouse import control, exposed_lake
from orchestration.warehouse.build_file import Warehouse
from orchestration.warehouse.control import Partitions
from orchestration.warehouse.incremental import FOLDED_SOURCE, Incremental

if TYPE_CHECKING:
    import duckdb

_logger = logging.getLogger(__name__)

_VISITOR = "coalesce('u:' || user_id, 'a:' || anonymous_id)"

# A night needs at least one of these: without them there is neither activity nor revenue.
_NEEDED = ("events", "orders", "subscriptions", "payments")

# A partition changed when the lake's version differs from the folded one, or no longer exists within the night's horizon.
_CHANGED = """
create or replace temp table changed as
select coalesce(target.source, folded.source) as source, coalesce(target.arrived_date, folded.arrived_date) as arrived_date
from control.target as target
full join control.folded as folded on target.source = folded.source and target.arrived_date = folded.arrived_date
where target.digest is distinct from folded.digest
"""

# Every copy of every event that is folded in.
_HELD = f"""
create or replace temp view held as
select event_id, event_date, {_VISITOR} as visitor_id, landed_date from intermediate.int_events__unique
union all
select event_id, event_date, visitor_id, arrived_date from intermediate.int_events__duplicates
"""

# Every copy of an event of which one arrived, or was replaced or withdrawn: its rows may change from any of their days on.
_TOUCHED = """
create or replace temp table touched as
with
changed_events as (select arrived_date from changed where source = 'events'),
ids as (
  select event_id from arrived
  union
  select event_id from held where landed_date in (from changed_events)
)
select event_id, event_date, visitor_id, landed_date from held where event_id in (from ids)
"""

# The visitor days of arrived events, of those they replace and of all other copies of the same events; and, transitively, of all
# copies of events on an affected visitor day: such visitor days must be replaced together.
_AFFECTED = """
insert into control.affected_visitor_days
with recursive
scattered as (
  select event_id, event_date, visitor_id from held
  where event_id in (select event_id from intermediate.int_events__duplicates)
),
closed (event_date, visitor_id) as (
  (
    select event_date, visitor_id from arrived
    union
    select event_date, visitor_id from touched
  )
  union
  select elsewhere.event_date, elsewhere.visitor_id
  from closed
  inner join scattered as here on closed.event_date = here.event_date and closed.visitor_id = here.visitor_id
  inner join scattered as elsewhere on here.event_id = elsewhere.event_id
)
select event_date, visitor_id from closed
except
from control.affected_visitor_days
"""

# The arrival days of everything that these visitors did on these days. An interrupted night may have replaced some of it already,
# so that the next plan would not find all of them again: they stay until everything is folded.
_TO_FOLD = """
insert into control.partitions_to_fold
(
  select held.landed_date
  from held
  inner join control.affected_visitor_days as affected
    on held.event_date = affected.event_date and held.visitor_id = affected.visitor_id
  union
  select arrived_date from changed where source = 'events'
)
except
from control.partitions_to_fold
"""

# The first as-of date whose rows may change: from the first arrival day on of what changed or was touched, and after the last
# complete day that was folded in, whose dates are not there yet.
_AFFECTED_AS_OF = """
insert into control.affected_as_of
select min(first_date) from (
  select min(arrived_date) as first_date from changed where source in (select unnest(?))
  union all
  select min(landed_date) from touched
  union all
  select data_through + 1 from control.folded_through
  union all
  select first_date from control.affected_as_of
)
having min(first_date) is not null
"""

_EVERY_DATE = date(1, 1, 1)

# Tables of `control` that a rebuild starts anew.
_OF_WHAT_IS_FOLDED = (
    "folded",
    "folded_through",
    "affected_visitor_days",
    "affected_as_of",
    "partitions_to_fold",
    "arrivals",
    "happened",
)


@dataclass(frozen=True)
class FoldPlan:
    """The changes that a night folds into the warehouse.

    data_through: last complete arrival day. changed: partitions per source that are new, replaced or withdrawn.
    affected_days: event days with rows to replace. is_rebuild: whether everything is rebuilt, and why.
    """

    data_through: date
    changed: Mapping[str, int]
    affected_days: int
    rebuild_reason: str | None

    @property
    def is_rebuild(self) -> bool:
        """Whether everything is rebuilt."""
        return self.rebuild_reason is not None


class FoldPlanner:
    """Plans the nights of one home. incremental: the inputs of the dbt project's incremental models.

    worth_keeping: bytes of a build file from which on an erasure is folded in. Folding has a price of its own: of 200,000 events
    the night cost a tenth more CPU than building everything, of 2.7 million (460 MB) an eighth less.
    """

    worth_keeping = 256 * 2**20

    def __init__(self, settings: Settings, lake: Lake, warehouse: Warehouse, incremental: Incremental) -> None:
        self._settings = settings
        self._lake = lake
        self._warehouse = warehouse
        self._incremental = incremental

    def plan(self, as_of: date | None = None, *, anew: bool = False, run_id: str = "") -> FoldPlan:
        """Expose the lake up to a day (default: all of it) to dbt and decide what the night replaces.

        anew: discard the build file first. run_id: the run that owns the build file from now on. Nothing is folded yet:
        `mark_folded` records that, and until then the next plan includes this one. Raises UserError when none of the sources
        that a night needs has landed.
        """
        partitions = self._partitions(as_of)
        data_through = self._data_through(partitions)
        self._lake.require_whole(partition for days in partitions.values() for partition in days.values())
        self._warehouse.make_ready(anew=anew)
        with self._warehouse.connect() as connection:
            connection.execute("begin")
            connection.execute(control.CONTROL_TABLES)
            digests = self._incremental.digests(self._settings)
            control.insert(connection, "control.planned_digests", list(digests.items()))
            control.write_configuration(connection, self._settings.config)
            control.write_targets(connection, partitions)
            connection.execute(_CHANGED)
            rebuild_reason = self._rebuild_reason(connection, digests)
            if rebuild_reason is not None:
                for table in _OF_WHAT_IS_FOLDED:
                    connection.execute(f"delete from control.{table}")
                connection.execute(_CHANGED)
            control.write_arrivals(connection, self._lake, partitions)
            exposed_lake.expose(connection, self._lake, partitions, anew=rebuild_reason is not None)
            events = partitions[FOLDED_SOURCE]
            self._affect(connection, events, is_rebuild=rebuild_reason is not None)
            to_fold = connection.execute("select distinct arrived_date from control.partitions_to_fold").fetchall()
            rows = exposed_lake.rows_of(self._lake, FOLDED_SOURCE, [events[day] for (day,) in sorted(to_fold) if day in events])
            if rebuild_reason is None:
                rows = (
                    f"select landed.* from ({rows}) as landed inner join control.affected_visitor_days as affected"
                    f" on {self._event_date} = affected.event_date and {_VISITOR} = affected.visitor_id"
                )
            connection.execute(f"create or replace view control.events_to_fold as {rows}")
            connection.execute("insert into control.run values (?, ?)", [data_through, rebuild_reason is not None])
            connection.execute("insert into control.planned_by values (?)", [run_id])
            plan = FoldPlan(
                data_through=data_through,
                changed=dict(
                    connection.execute("select source, count(*) from changed group by source order by source").fetchall()
                ),
                affected_days=_scalar(
                    connection,
                    "select count(distinct event_date) from control.affected_visitor_days"
                    if rebuild_reason is None
                    else f"select count(distinct happened_date) from control.happened where source = '{FOLDED_SOURCE}'",
                ),
                rebuild_reason=rebuild_reason,
            )
            connection.execute("commit")
        return plan

    def forget(self) -> None:
        """Rewrite the build file so that it holds no byte of what was erased from the lake; the next plan folds in the changes.

        Kept are those rows of incremental models that a night planned now would not replace, and the copies of the lake, which
        are of the lake as it is now. All else is built every night. A small file, one into which nothing can be folded, and one
        that finds no room to be rewritten are discarded.
        """
        import duckdb

        is_kept = False
        path = self._warehouse.path
        if path.exists() and path.stat().st_size >= self.worth_keeping:
            with suppress(UserError):  # nothing to build from
                is_kept = not self.plan().is_rebuild
        if not is_kept:
            self._warehouse.discard()
            return
        with self._warehouse.connect(read_only=True) as connection:
            columns = "select distinct schema_name, table_name from duckdb_columns() where column_name = 'visitor_id'"
            named = set(connection.execute(columns).fetchall())
            tables = "select schema_name, table_name from duckdb_tables() where schema_name in ('control', 'lake')"
            kept = dict.fromkeys(connection.execute(tables).fetchall(), "true")
        for relation in self._incremental.by_visitor_day.relations:
            visitor = "kept.visitor_id" if relation in named else _VISITOR
            kept[relation] = (
                "not exists (select 1 from control.affected_visitor_days as affected"
                f" where affected.event_date = kept.event_date and affected.visitor_id = {visitor})"
            )
        for relation in self._incremental.by_as_of.relations:
            kept[relation] = f"as_of_date < (select coalesce(min(first_date), '{date.max}') from control.affected_as_of)"
        # Messages of tests may quote values.
        kept["control", "standing"] = "false"
        # A visitor day that is no longer in the lake has nothing to fold in, and its visitor may be the person who was erased.
        landed = f"select {self._event_date}, {_VISITOR} from control.events_to_fold"
        kept["control", "affected_visitor_days"] = f"(event_date, visitor_id) in ({landed})"
        try:
            self._warehouse.rewrite(kept)
        except (
            duckdb.IOException,
            duckdb.TransactionException,  # no room to commit
            duckdb.OutOfMemoryException,
            duckdb.FatalException,
            OSError,
        ) as error:
            _logger.warning("%s is built anew, since it could not be rewritten: %s", path, str(error).splitlines()[0])
            self._warehouse.discard()

    def _partitions(self, as_of: date | None) -> Partitions:
        partitions = {
            source: {day: partition for day, partition in self._lake.partitions(source).items() if as_of is None or day <= as_of}
            for source in CONTRACT
        }
        if not any(partitions[source] for source in _NEEDED):
            raise UserError(
                f"nothing to build: none of {', '.join(_NEEDED)} has landed in {self._settings.landing}"
                f"{'' if as_of is None else f' up to {as_of}'}; `northstar simulate` or `northstar import` write a landing zone"
            )
        return partitions

    def _data_through(self, partitions: Partitions) -> date:
        newest = {source: max(days) for source, days in partitions.items() if days}
        required = self._settings.config.required_sources
        missing = [source for source in required if source not in newest]
        if missing:
            raise UserError(
                f"required_sources names {', '.join(missing)}, of which nothing has landed in {self._settings.landing}"
            )
        return min(newest[source] for source in required) if required else max(newest.values())

    def _rebuild_reason(self, connection: "duckdb.DuckDBPyConnection", digests: Mapping[str, str]) -> str | None:
        known = dict(connection.execute("select name, digest from control.digests").fetchall())
        if not known:
            return "first night"
        changed = [name for name, digest in digests.items() if known.get(name) != digest]
        unfolded = self._incremental.by_visitor_day.sources - {FOLDED_SOURCE}
        found = connection.execute("select distinct source from changed order by source").fetchall()
        changed += [source for (source,) in found if source in unfolded]
        return f"{' and '.join(changed)} changed" if changed else None

    def _affect(self, connection: "duckdb.DuckDBPyConnection", partitions: Mapping[date, Partition], *, is_rebuild: bool) -> None:
        changed = connection.execute(f"select arrived_date from changed where source = '{FOLDED_SOURCE}'").fetchall()
        # A changed day that is not among the partitions was withdrawn: nothing of it arrived.
        rows = exposed_lake.rows_of(self._lake, FOLDED_SOURCE, [partitions[day] for (day,) in changed if day in partitions])
        connection.execute(
            "create or replace temp view arrived as"
            f" select event_id, {self._event_date} as event_date, {_VISITOR} as visitor_id from ({rows})"
        )
        if is_rebuild:
            connection.execute("insert into control.partitions_to_fold select unnest(?::date[])", [[day for (day,) in changed]])
            connection.execute("insert into control.affected_as_of values (?)", [_EVERY_DATE])
            return
        if changed:
            connection.execute(_HELD)
            connection.execute(_TOUCHED)
            connection.execute(_AFFECTED)
            connection.execute(_TO_FOLD)
        else:
            connection.execute("create or replace temp table touched (landed_date date)")
        connection.execute(_AFFECTED_AS_OF, [sorted(self._incremental.by_as_of.sources)])

    @property
    def _event_date(self) -> str:
        timezone = literal(self._settings.config.reporting_timezone)
        return f"cast(occurred_at at time zone 'UTC' at time zone {timezone} as date)"


def _scalar(connection: "duckdb.DuckDBPyConnection", query: str) -> Any:
    row = connection.execute(query).fetchone()
    assert row is not None  # noqa: S101  (an aggregate returns a row)
    return row[0]
