"""The schema `lake` of the build file: the landed sources as dbt reads them.

Events are a view over the lake's files, since a night folds in few of their rows. Of the other sources staging reads every row
every night, and opening a file takes as long as reading thousands of rows: they are copied into tables, in which a night
replaces the partitions that changed.

Belongs here: views and copies of the lake's rows. Does not belong here: what a night folds into models (`fold_plan`).
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from orchestration.base import digests
from orchestration.base.sql import identifier
from orchestration.landing.contract import CONTRACT
from orchestration.landing.lake import Lake, Partition, scan
from orchestration.warehouse import control
from orchestration.warehouse.control import Partitions
from orchestration.warehouse.incremental import FOLDED_SOURCE

if TYPE_CHECKING:
    import duckdb


def rows_of(lake: Lake, source: str, partitions: Iterable[Partition]) -> str:
    """A select over the files of a source's partitions; without files, an empty one with the same types."""
    return scan(CONTRACT[source], [path for partition in partitions for path in lake.data_files(partition)])


def expose(connection: "duckdb.DuckDBPyConnection", lake: Lake, partitions: Partitions, *, anew: bool) -> None:
    """Make `lake.<source>` the rows of the partitions, whose versions are in `control.target`.

    anew: copy everything, instead of the partitions whose copies are missing or of another version.
    """
    views = "select view_name from duckdb_views() where schema_name = 'lake' and not internal"
    for (view,) in connection.execute(views).fetchall():
        connection.execute(f"drop view lake.{identifier(view)}")
    for source in CONTRACT:
        if source == FOLDED_SOURCE:
            rows = rows_of(lake, source, partitions[source].values())
            connection.execute(f"create view lake.{source} as {rows}")
        else:
            _copy(connection, lake, source, partitions, anew=anew)


def _copy(connection: "duckdb.DuckDBPyConnection", lake: Lake, source: str, partitions: Partitions, *, anew: bool) -> None:
    columns = scan(CONTRACT[source], [])
    # A column that joins the contract makes every copy outdated.
    wanted = {
        day: digests.of_value([version, columns])
        for day, version in connection.execute(
            "select arrived_date, digest from control.target where source = ?", [source]
        ).fetchall()
    }
    copied = connection.execute("select arrived_date, digest from control.copied where source = ?", [source])
    held = {} if anew else dict(copied.fetchall())
    outdated = [day for day in {**held, **wanted} if held.get(day) != wanted.get(day)]
    missing = [partitions[source][day] for day in sorted(wanted) if held.get(day) != wanted[day]]
    if held.keys() <= set(outdated):
        connection.execute(f"create or replace table lake.{source} as {rows_of(lake, source, missing)}")
    elif outdated:
        connection.execute(f"delete from lake.{source} where arrived_date in (select unnest(?::date[]))", [outdated])
        connection.execute(f"insert into lake.{source} by name {rows_of(lake, source, missing)}")
    if outdated or anew:
        connection.execute("delete from control.copied where source = ?", [source])
        control.insert(connection, "control.copied", [(source, day, digest) for day, digest in wanted.items()])
