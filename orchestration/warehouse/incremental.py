"""Dependencies of the dbt project's incremental models, read from dbt's manifest.

Belongs here: their inputs (lake sources, configuration, code), and refusing inputs that make folding wrong. Does not belong
here: choosing the event days to replace (`fold_plan`).

An incremental model keeps the rows of event days that a night does not replace. That is correct only if those rows depend on
nothing but the events of their day, configuration and code: this module finds every other input.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from orchestration.base.errors import NorthstarError
from orchestration.config.schema import Config
from orchestration.config.settings import Settings
from orchestration.landing.contract import CONTRACT
from orchestration.warehouse import control

# Changes of events are folded day by day; a change of any other source read by an incremental model rebuilds everything.
FOLDED_SOURCE = "events"

# Tables of `control` that the fold plan itself writes for the incremental models.
_OF_THE_PLAN = frozenset({"affected_days", "events_to_fold"})

_VARIABLE = re.compile(r"""\bvar\(\s*["'](\w+)["']""")

# Keys of all sources of the contract. Only the keys of sources that are read matter; they are taken from the contract.
_LANDING_KEYS = "macros/landing_keys.sql"


@dataclass(frozen=True)
class Incremental:
    """Inputs of all incremental models together.

    code: SHA-256 of their SQL, of the SQL and seeds they read, and of the macros used. variables: dbt variables used.
    tables: tables of `control` with configuration. sources: sources of the landing contract.
    """

    code: str
    variables: frozenset[str]
    tables: frozenset[str]
    sources: frozenset[str]

    @classmethod
    def read(cls, manifest: Mapping[str, Any]) -> "Incremental":
        """Read a dbt manifest. Raises NorthstarError for an incremental model with an input that cannot be folded by day."""
        nodes = manifest["nodes"]
        models = [
            node_id
            for node_id, node in nodes.items()
            if node["resource_type"] == "model" and node["config"]["materialized"] == "incremental"
        ]
        inputs = sorted(_ancestry(nodes, models))
        read = {source_id: manifest["sources"][source_id] for source_id in inputs if source_id in manifest["sources"]}
        for node_id in models:
            _check(manifest, node_id)
        strategies = {nodes[node_id]["config"].get("incremental_strategy") for node_id in models}
        macros = _macros(manifest, [nodes[node_id] for node_id in inputs if node_id in nodes], strategies)
        code = {
            **{node_id: _code_of(nodes[node_id]) for node_id in inputs if node_id in nodes},
            **{name: macro["macro_sql"] for name, macro in macros.items()},
        }
        sources = frozenset(source["name"] for source in read.values() if source["source_name"] == "lake")
        keys = {source: CONTRACT[source].key for source in sources}
        text = [str(nodes[node_id].get("raw_code", "")) for node_id in inputs if node_id in nodes]
        return cls(
            code=_digest([code, keys]),
            variables=frozenset(
                name for sql in [*text, *(macro["macro_sql"] for macro in macros.values())] for name in _VARIABLE.findall(sql)
            ),
            tables=frozenset(
                source["name"]
                for source in read.values()
                if source["source_name"] == "control" and source["name"] not in _OF_THE_PLAN
            ),
            sources=sources,
        )

    def digests(self, settings: Settings) -> dict[str, str]:
        """SHA-256 of the models' configuration and of their code; a change of either rebuilds everything."""
        rows = control.configuration(settings.config)
        values = settings.dbt_vars()
        used = [
            {name: values[name] for name in self.variables if name in values},
            {table: rows[table] for table in self.tables},
        ]
        return {"configuration": _digest(used), "code": self.code}


def _check(manifest: Mapping[str, Any], model_id: str) -> None:
    """Refuse inputs of a model, direct or through views, whose changes would alter its rows of earlier days."""
    nodes, sources = manifest["nodes"], manifest["sources"]

    def through_views(node_id: str) -> Iterable[str]:
        if node_id == model_id or (node_id in nodes and nodes[node_id]["config"]["materialized"] in ("view", "ephemeral")):
            return [found for found in nodes[node_id]["depends_on"].get("nodes", ()) if found != model_id]
        return ()

    name = nodes[model_id]["name"]
    for found in sorted(_closure([model_id], through_views) - {model_id}):
        if found in sources:
            source = sources[found]
            if source["source_name"] == "control" and source["name"] not in {*control.configuration(Config()), *_OF_THE_PLAN}:
                raise NorthstarError(
                    f"{name} is incremental and reads control.{source['name']}, which every night writes anew: the rows that it"
                    " keeps would not follow; make it a table, or read that table in a model above it"
                )
        elif nodes[found]["resource_type"] == "model" and nodes[found]["config"]["materialized"] == "table":
            above = _ancestry(nodes, [found])
            landed = sorted(
                sources[above_id]["name"] for above_id in above if above_id in sources and _is_landed(sources[above_id])
            )
            if landed:
                raise NorthstarError(
                    f"{name} is incremental and reads the table {nodes[found]['name']}, which is made of {', '.join(landed)}: its"
                    " rows of any day may change while that day is not replaced; make it a table too, or read incremental models"
                )


def _is_landed(source: Mapping[str, Any]) -> bool:
    return bool(source["source_name"] == "lake" or source["name"] == "events_to_fold")


def _ancestry(nodes: Mapping[str, Any], starts: Iterable[str]) -> set[str]:
    """Ids of nodes with all their ancestors, sources included."""
    return _closure(starts, lambda node_id: nodes[node_id]["depends_on"].get("nodes", ()) if node_id in nodes else ())


def _closure(starts: Iterable[str], above: Callable[[str], Iterable[str]]) -> set[str]:
    found: set[str] = set()
    waiting = list(starts)
    while waiting:
        node_id = waiting.pop()
        if node_id not in found:
            found.add(node_id)
            waiting += above(node_id)
    return found


def _macros(
    manifest: Mapping[str, Any], nodes: Iterable[Mapping[str, Any]], strategies: Iterable[str | None]
) -> dict[str, Mapping[str, Any]]:
    """Macros of the project that nodes use. Excludes those of other projects: a new version of dbt is not new code."""
    every = manifest["macros"]
    own = {name: macro for name, macro in every.items() if macro["package_name"] == manifest["metadata"]["project_name"]}

    def used(name: str) -> Iterator[str]:
        yield from (called for called in every[name]["depends_on"]["macros"] if called in every)
        # Candidates of `adapter.dispatch` at run time.
        yield from (other for other, macro in own.items() if macro["name"].endswith(f"__{every[name]['name']}"))

    starts = [name for node in nodes for name in node["depends_on"].get("macros", ()) if name in every]
    starts += [name for name, macro in own.items() if macro["name"] in {f"get_incremental_{known}_sql" for known in strategies}]
    starts += [name for name, macro in own.items() if macro["name"] == "generate_schema_name"]
    return {
        name: own[name]
        for name in sorted(_closure(starts, used))
        if name in own and own[name]["original_file_path"] != _LANDING_KEYS
    }


def _code_of(node: Mapping[str, Any]) -> list[Any]:
    # A description changes nothing that is stored; a contract's type does.
    types = {name: column["data_type"] for name, column in node.get("columns", {}).items() if column.get("data_type")}
    return [node["checksum"]["checksum"], node["config"]["materialized"], types]


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=sorted).encode()).hexdigest()
