"""Results of dbt's nodes that stand: what they were made of is what a night would make them of again.

Belongs here: the digest of a node's inputs, and the results that were given for it, kept in the build file. Does not belong here:
building nodes (`dbt`), running tests (`data_tests`), or what incremental models replace (`fold_plan`).

A node is made of code, of configuration and of the sources above it, near or far: partitions of the lake, tables of the plan and
of ML steps. What moves with the calendar alone does so by `control.run`, which holds the last complete day; no model asks the
clock, and a law of the project sees to that.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from orchestration.base.sql import identifier, literal
from orchestration.warehouse import control
from orchestration.warehouse.build_file import Warehouse
from orchestration.warehouse.incremental import FOLDED_SOURCE
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

# That everything is built anew is no input of what is built.
_COLUMNS = {"run": "data_through"}

_RESULT = TypeAdapter(NodeResult)


class StandingResults:
    """The results in a home's build file. code: a digest of all that its nodes are made of beside their sources."""

    def __init__(self, warehouse: Warehouse, manifest: Mapping[str, Any], code: str) -> None:
        self._warehouse, self._manifest, self._code = warehouse, manifest, code
        self._digests: dict[str, str] = {}
        self._sources: dict[str, frozenset[str]] = {}

    def find(self, nodes: Collection[str], *, anew: bool = False) -> dict[str, NodeResult]:
        """Those results of nodes that stand, by id, parents first. All others are forgotten: a kill leaves none of them.

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
            above = {source for node in reads for source in self._sources_above(node)}
            today = {id_ for id_, source in self._manifest["sources"].items() if (source["schema"], source["name"]) == _TODAY}
            self._digests[name] = _digest([self._code, beside, *sorted(self._versions(connection, above | today).items())])
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
        above = {node: sorted(self._sources_above(node)) for node in nodes}
        versions = self._versions(connection, {source for sources in above.values() for source in sources})
        return {node: _digest([self._code, *((source, versions[source]) for source in above[node])]) for node in nodes}

    def _versions(self, connection: "duckdb.DuckDBPyConnection", sources: Iterable[str]) -> dict[str, str]:
        return {source: _version(connection, self._manifest["sources"][source]) for source in sources}

    def _sources_above(self, node: str) -> frozenset[str]:
        """Ids of the sources above a node, near or far."""
        if node in self._manifest["sources"]:
            return frozenset([node])
        if node not in self._sources:
            self._sources[node] = frozenset().union(*map(self._sources_above, self._parents(node)))
        return self._sources[node]

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


def _digest(told: Sequence[object]) -> str:
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def _forget(connection: "duckdb.DuckDBPyConnection", nodes: Collection[str]) -> None:
    connection.execute("delete from control.standing where node_id in (select unnest(?::varchar[]))", [list(nodes)])
