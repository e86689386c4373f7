"""Dependencies of the dbt project's incremental models, read from dbt's manifest.

Belongs here: their inputs (lake sources, configuration, code), and refusing inputs that make folding wrong. Does not belong
here: choosing what a night replaces (`fold_plan`).

There are two kinds, by incremental strategy. `replace_visitor_days` keeps the rows of visitors and event days that a night does
not replace: correct only if those rows depend on nothing but the events of their visitor and day. `replace_as_of` keeps the rows
of as-of dates before the first arrival day that changed: correct only if they depend on nothing but what had arrived by their
as-of date. Configuration and code may alter the rows of either: this module finds every other input.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from orchestration.base import digests
from orchestration.base.errors import NorthstarError
from orchestration.config.schema import Config
from orchestration.config.settings import Settings
from orchestration.landing.contract import CONTRACT
from orchestration.warehouse import control

# Changes of events are folded by visitor day; a change of any other source read by an incremental model rebuilds everything.
FOLDED_SOURCE = "events"

BY_VISITOR_DAY = "replace_visitor_days"
BY_AS_OF = "replace_as_of"

# Tables of `control` that the fold plan itself writes for the incremental models.
_OF_THE_PLAN = frozenset({"affected_visitor_days", "affected_as_of", "events_to_fold"})

# As-of dates are chosen by the last complete day, which the fold plan heeds: `replace_as_of` models may read them.
_AS_OF_DATES = "int_accounts__as_of_dates"

_VARIABLE = re.compile(r"""\bvar\(\s*["'](\w+)["']""")

# Keys of all sources of the contract. Only the keys of sources that are read matter; they are taken from the contract.
_LANDING_KEYS = "macros/landing_keys.sql"


@dataclass(frozen=True)
class Inputs:
    """Inputs of all incremental models of one kind together.

    code: SHA-256 of their SQL, of the SQL and seeds they read, and of the macros used. variables: dbt variables used.
    tables: tables of `control` with configuration. sources: sources of the landing contract. relations: schema and name of the
    models' own tables.
    """

    relations: tuple[tuple[str, str], ...]
    code: str
    variables: frozenset[str]
    tables: frozenset[str]
    sources: frozenset[str]

    def configuration(self, settings: Settings) -> str:
        """SHA-256 of the configuration used."""
        rows = control.configuration(settings.config)
        values = settings.dbt_vars()
        return digests.of_value(
            [{name: values[name] for name in self.variables if name in values}, {table: rows[table] for table in self.tables}]
        )


@dataclass(frozen=True)
class Incremental:
    """Inputs of the models replaced by visitor and event day, and of those replaced by as-of date."""

    by_visitor_day: Inputs
    by_as_of: Inputs

    @classmethod
    def read(cls, manifest: Mapping[str, Any]) -> "Incremental":
        """Read a dbt manifest. Raises NorthstarError for an incremental model with an input that cannot be folded."""
        models: dict[str, list[str]] = {BY_VISITOR_DAY: [], BY_AS_OF: []}
        for node_id, node in manifest["nodes"].items():
            if node["resource_type"] == "model" and node["config"]["materialized"] == "incremental":
                strategy = node["config"].get("incremental_strategy")
                if strategy not in models:
                    raise NorthstarError(
                        f"{node['name']} is incremental by {strategy}; the strategies of this project are {', '.join(models)}"
                    )
                models[strategy].append(node_id)
        for node_id in models[BY_VISITOR_DAY]:
            _check(manifest, node_id)
        for node_id in models[BY_AS_OF]:
            _check_as_of(manifest, node_id)
        return cls(_inputs(manifest, models[BY_VISITOR_DAY], BY_VISITOR_DAY), _inputs(manifest, models[BY_AS_OF], BY_AS_OF))

    def digests(self, settings: Settings) -> dict[str, str]:
        """SHA-256 of all models' configuration and of their code; a change of either rebuilds everything."""
        kinds = (self.by_visitor_day, self.by_as_of)
        return {
            "configuration": digests.of_value([kind.configuration(settings) for kind in kinds]),
            "code": digests.of_value([kind.code for kind in kinds]),
        }


def _inputs(manifest: Mapping[str, Any], models: Sequence[str], strategy: str) -> Inputs:
    nodes = manifest["nodes"]
    inputs = sorted(ancestry(nodes, models))
    read = {source_id: manifest["sources"][source_id] for source_id in inputs if source_id in manifest["sources"]}
    macros = _macros(manifest, [nodes[node_id] for node_id in inputs if node_id in nodes], strategy)
    code = {
        **{node_id: _code_of(nodes[node_id]) for node_id in inputs if node_id in nodes},
        **{name: macro["macro_sql"] for name, macro in macros.items()},
    }
    sources = frozenset(source["name"] for source in read.values() if source["source_name"] == "lake")
    keys = {source: CONTRACT[source].key for source in sources}
    text = [str(nodes[node_id].get("raw_code", "")) for node_id in inputs if node_id in nodes]
    configured = control.configuration(Config())
    return Inputs(
        relations=tuple((nodes[node_id]["schema"], nodes[node_id]["alias"]) for node_id in models),
        code=digests.of_value([code, keys]),
        variables=frozenset(
            name for sql in [*text, *(macro["macro_sql"] for macro in macros.values())] for name in _VARIABLE.findall(sql)
        ),
        tables=frozenset(
            source["name"] for source in read.values() if source["source_name"] == "control" and source["name"] in configured
        ),
        # The plan's view of the events to fold is of them.
        sources=sources | {FOLDED_SOURCE for source in read.values() if source["name"] == "events_to_fold"},
    )


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
            _refuse_tables_of_the_night(name, sources[found])
        elif nodes[found]["resource_type"] == "model" and nodes[found]["config"]["materialized"] == "table":
            above = ancestry(nodes, [found])
            landed = sorted(
                sources[above_id]["name"] for above_id in above if above_id in sources and _is_landed(sources[above_id])
            )
            if landed:
                raise NorthstarError(
                    f"{name} is incremental and reads the table {nodes[found]['name']}, which is made of {', '.join(landed)}: its"
                    " rows of any day may change while that day is not replaced; make it a table too, or read incremental models"
                )


def _check_as_of(manifest: Mapping[str, Any], model_id: str) -> None:
    """Refuse inputs of a model, through any others, that say more than what had arrived by an as-of date."""
    nodes, sources = manifest["nodes"], manifest["sources"]

    def goes_on(node_id: str) -> Iterable[str]:
        if node_id not in nodes or nodes[node_id]["name"] == _AS_OF_DATES:
            return ()
        # What is folded by visitor day keeps the day on which each of its rows became known.
        if nodes[node_id]["config"].get("incremental_strategy") == BY_VISITOR_DAY or _is_of_states(nodes[node_id]):
            return ()
        return cast("Iterable[str]", nodes[node_id]["depends_on"].get("nodes", ()))

    name = nodes[model_id]["name"]
    read = [sources[found] for found in sorted(_closure([model_id], goes_on)) if found in sources]
    for source in read:
        if _is_landed(source):
            raise NorthstarError(
                f"{name} is kept by as-of date and reads {source['name']} as it is known today: a correction would alter its rows"
                " of earlier dates; read a model of states, which has `arrived_date` and `known_until` or `state_number`"
            )
    for source in read:
        _refuse_tables_of_the_night(name, source)


def _is_of_states(node: Mapping[str, Any]) -> bool:
    columns = node.get("columns", {}).keys()
    return "arrived_date" in columns and not columns.isdisjoint({"known_until", "state_number"})


def _refuse_tables_of_the_night(name: str, source: Mapping[str, Any]) -> None:
    if source["source_name"] == "control" and source["name"] not in {*control.configuration(Config()), *_OF_THE_PLAN}:
        raise NorthstarError(
            f"{name} is incremental and reads control.{source['name']}, which every night writes anew: the rows that it"
            " keeps would not follow; make it a table, or read that table in a model above it"
        )


def _is_landed(source: Mapping[str, Any]) -> bool:
    return bool(source["source_name"] == "lake" or source["name"] == "events_to_fold")


def ancestry(nodes: Mapping[str, Any], starts: Iterable[str]) -> set[str]:
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


def _macros(manifest: Mapping[str, Any], nodes: Iterable[Mapping[str, Any]], strategy: str) -> dict[str, Mapping[str, Any]]:
    """Macros of the project that nodes use. Excludes those of other projects: a new version of dbt is not new code."""
    every = manifest["macros"]
    own = {name: macro for name, macro in every.items() if macro["package_name"] == manifest["metadata"]["project_name"]}

    def used(name: str) -> Iterator[str]:
        yield from (called for called in every[name]["depends_on"]["macros"] if called in every)
        # Candidates of `adapter.dispatch` at run time.
        yield from (other for other, macro in own.items() if macro["name"].endswith(f"__{every[name]['name']}"))

    starts = [name for node in nodes for name in node["depends_on"].get("macros", ()) if name in every]
    starts += [name for name, macro in own.items() if macro["name"] == f"get_incremental_{strategy}_sql"]
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
