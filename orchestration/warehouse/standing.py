"""Results of dbt's nodes that stand, because a night would build them from the same inputs again.

Belongs here: the digest of a node's inputs, and the results that were given for it, kept in the build file. Does not belong here:
building nodes (`dbt`), running tests (`data_tests`), or what incremental models replace (`fold_plan`).

The inputs of a node are its code, the configuration and every source above it, near or far: partitions of the lake, tables of the
plan and tables of ML steps. Figures that change with the calendar alone read the last complete day from `control.run`. No model
asks the clock; a law of the project checks that.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from orchestration.base import digests
from orchestration.base.sql import identifier, literal
from orchestration.warehouse import control
from orchestration.warehouse.build_file import Warehouse
from orchestration.warehouse.incremental import FOLDED_SOURCE, ancestry
from orchestration.warehouse.node_result import NodeResult

if TYPE_CHECKING:
    import duckdb

# Tables of `control` that every plan writes anew, and the sources of whose partitions they tell nothing more.
_FOLLOWS = {
    "events_to_fold": (FOLDED_SOURCE,),
    "affected_visitor_days": (FOLDED_SOURCE,),
    "affected_as_of": (),  # its readers read the sources, too
    "landed_files": (),  # the order of rows, which is part of a partition's version
}

_TODAY = ("control", "run")

# Whether everything is built anew changes no row.
_COLUMNS = {"run": "data_through"}

_RESULT = TypeAdapter(NodeResult)


class StandingResults:
    """The results in a home's build file. code: a digest of every input of its nodes but their sources."""

    def __init__(self, warehouse: Warehouse, manifest: Mapping[str, Any], code: str) -> None:
        self._warehouse, self._manifest, self._code = warehouse, manifest, code
        self._digests: dict[str, str] = {}

    def find(self, nodes: Collection[str], *, anew: bool = False) -> dict[str, NodeResult]:
        """Results that stand, by node, parents first. All others are forgotten, so that a kill leaves none of them.

        nodes: ids of the models, seeds and tests that are to be built or tested now. None of them stands without its parents
        among these. anew: none stands.
        """
        with self._warehouse.connect() as connection:
            self._digests |= self._digests_of(connection, nodes)
            relations = connection.execute(
                "select schema_name, table_name from duckdb_tables() union all select schema_name, view_name from duckdb_views()"
            )
            there = set(relations.fetchall())
            known = {
                node: (digest, result)
                for node, digest, result in connection.execute("from control.standing").fetchall()
                if not anew and self._is_there(node, there)
            }
            standing: dict[str, NodeResult] = {}
            for node, parents in self._from_parents_to_children(nodes):
                digest, result = known.get(node, ("", ""))
                if digest == self._digests[node] and all(parent in standing for parent in parents):
                    standing[node] = replace(_RESULT.validate_json(result), seconds=0, is_standing=True)
            _forget(connection, [node for node in nodes if node not in standing])
        return standing

    def _from_parents_to_children(self, nodes: Collection[str]) -> Iterator[tuple[str, list[str]]]:
        """Each node with those of its parents that are among the nodes."""
        asked = set(nodes)
        parents = {node: [parent for parent in self._parents(node) if parent in asked and parent != node] for node in nodes}
        for node in TopologicalSorter(parents).static_order():
            yield node, parents[node]

    def find_outcome(
        self, task: str, reads: Collection[str], tables: Collection[str], *, beside: str, anew: bool = False
    ) -> str | None:
        """What `record_outcome` kept of a task of an ML step if it stands, else None, and it is forgotten.

        reads: ids of the models that it reads; every task reads the last complete day as well. tables: of `ml` that it writes.
        beside: a digest of whatever else it depends on. anew: it does not stand.
        """
        name = f"task.{task}"
        with self._warehouse.connect() as connection:
            today = [id_ for id_, source in self._manifest["sources"].items() if (source["schema"], source["name"]) == _TODAY]
            versions = self._versions(connection, self._sources_above([*reads, *today]))
            self._digests[name] = digests.of_value([self._code, beside, versions])
            written = "select table_name from duckdb_tables() where schema_name = 'ml'"
            is_there = {table for (table,) in connection.execute(written).fetchall()} >= set(tables)
            known = connection.execute("select digest, result from control.standing where node_id = ?", [name]).fetchall()
            if is_there and not anew and known and known[0][0] == self._digests[name]:
                return str(known[0][1])
            _forget(connection, [name])
        return None

    def record_outcome(self, task: str, outcome: str) -> None:
        """Keep the outcome of a task that `find_outcome` asked for and that has run since."""
        name = f"task.{task}"
        with self._warehouse.connect() as connection:
            control.insert(connection, "control.standing", [(name, self._digests[name], outcome)])

    def forget(self, nodes: Collection[str]) -> None:
        """Forget the results of nodes that are built or tested apart from a night."""
        with self._warehouse.connect() as connection:
            _forget(connection, nodes)

    def record(self, results: Iterable[NodeResult]) -> None:
        """Keep the results of nodes that were built or tested since `find` was asked for them; others are left out."""
        rows = [
            (result.unique_id, self._digests[result.unique_id], _RESULT.dump_json(result).decode())
            for result in results
            if result.unique_id in self._digests and not result.is_standing
        ]
        with self._warehouse.connect() as connection:
            connection.execute("begin")
            _forget(connection, [node for node, *_ in rows])
            control.insert(connection, "control.standing", rows)
            connection.execute("commit")

    def _digests_of(self, connection: "duckdb.DuckDBPyConnection", nodes: Collection[str]) -> dict[str, str]:
        above = {node: self._sources_above([node]) for node in nodes}
        versions = self._versions(connection, self._sources_above(nodes))
        return {node: digests.of_value([self._code, *((source, versions[source]) for source in above[node])]) for node in nodes}

    def _versions(self, connection: "duckdb.DuckDBPyConnection", sources: Iterable[str]) -> dict[str, str]:
        return {source: _version(connection, self._manifest["sources"][source]) for source in sources}

    def _sources_above(self, nodes: Iterable[str]) -> list[str]:
        """Ids of the sources above nodes, near or far, in order."""
        return sorted(ancestry(self._manifest["nodes"], nodes) & self._manifest["sources"].keys())

    def _parents(self, node: str) -> list[str]:
        return list(self._manifest["nodes"][node]["depends_on"].get("nodes", ()))

    def _is_test(self, node: str) -> bool:
        return bool(self._manifest["nodes"][node]["resource_type"] == "test")

    def _is_there(self, node: str, relations: Collection[tuple[str, str]]) -> bool:
        """Whether the relation of a model or seed is in the build file: an erasure takes most of them."""
        declared = self._manifest["nodes"].get(node)
        return declared is not None and (self._is_test(node) or (declared["schema"], declared["alias"]) in relations)


def _version(connection: "duckdb.DuckDBPyConnection", source: Mapping[str, Any]) -> str:
    """A text that changes with the rows of a source."""
    schema, name = source["schema"], source["identifier"]
    follows = (name,) if schema == "lake" else _FOLLOWS.get(name) if schema == "control" else None
    if follows is None:
        rows = f"select {_COLUMNS.get(name, '*')} from {identifier(schema)}.{identifier(name)}"
    else:
        rows = f"select * from control.target where source in ({', '.join(map(literal, follows)) or 'null'})"
    [summary] = connection.execute(f"select count(*), sum(hash(rows)), bit_xor(hash(rows)) from ({rows}) as rows").fetchall()
    return str(summary)


def _forget(connection: "duckdb.DuckDBPyConnection", nodes: Collection[str]) -> None:
    connection.execute("delete from control.standing where node_id in (select unnest(?::varchar[]))", [list(nodes)])
