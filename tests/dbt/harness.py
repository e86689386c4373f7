"""The dbt project on small inputs: compiled once, then run in an in-memory DuckDB, one mart with its ancestors.

A relation is built again only when the contents of one of its inputs changed since the run that built it: most tests say
something of two or three sources, and what reads the others stays.

Belongs here: compiling, and creating the models by their compiled SQL or Python as dbt would, contracts included. Does not
belong here: filling the relations that dbt reads (`inputs`), what the models should give (`tests.oracles`), their inputs
(`tests.dbt.facts`), or the build of a real home.
"""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import duckdb

from orchestration.config.schema import Config
from orchestration.config.settings import Settings
from orchestration.warehouse import control
from orchestration.warehouse.incremental import BY_AS_OF, BY_VISITOR_DAY
from tests import visitor_days
from tests.dbt.inputs import Given, Inputs
from tests.oracles.reporting import Facts, Reporting

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest

CATALOG = "warehouse"

# The rows that a night replaces in a model kept by as-of date.
REPLACED_AS_OF = (
    "as_of_date >= (select min(first_date) from control.affected_as_of)"
    " or as_of_date not in (select as_of_date from intermediate.int_accounts__as_of_dates where not is_current)"
)

# The contents of a relation in whatever order, or for a view those of what it reads.
_Version = int | tuple[Any, ...]


@dataclass(frozen=True)
class _Node:
    """A model as dbt compiled it, SQL or Python: `columns` are (name, type, not_null) where its contract is enforced."""

    address: str
    materialized: str
    strategy: str | None
    language: str
    code: str
    columns: tuple[tuple[str, str, bool], ...]
    parents: tuple[str, ...]


class DbtProject:
    """The project compiled with one configuration, and a database to run its models in.

    home: an empty folder to compile in, or one in which the same configuration has been compiled.
    config: what is compiled in (time zone, currency, week, margin, bots, links, sessions), and denied ids. Its funnels,
    event names and targets are data of which every run may bring its own.
    parsed: the project as another home's `prepare` parsed it: code that is compiled of it has this configuration all the same,
    since nothing but code reads variables.
    """

    def __init__(self, config: Config, home: Path, parsed: "Manifest | None" = None) -> None:
        self.config = config
        self._home = home
        self._parsed = parsed
        self._connection = duckdb.connect()
        self._connection.execute(f"set TimeZone = 'UTC'; set threads = 1; attach ':memory:' as {CATALOG}; use {CATALOG}")
        self._inputs = Inputs(self._connection, self.manifest)
        self._inputs.create_schemas()
        self._inputs.write_seeds()
        self._versions: dict[str, _Version] = {}
        self._built_from: dict[str, _Version] = {}

    def reporting(self, data_through: Any) -> Reporting:
        """What the oracles need to know of this configuration."""
        return Reporting(
            timezone=ZoneInfo(self.config.reporting_timezone),
            data_through=data_through,
            currency=self.config.reporting_currency,
            week_start=self.config.week_start,
            gross_margin=self.config.gross_margin,
            bot_events_per_day=self.config.bot_events_per_day,
            denied_ids=frozenset(self.config.identity_deny_list),
            ignored_referrers=frozenset(self.config.ignored_referrers),
            max_identity_links=self.config.max_identity_links,
            session_gap=timedelta(seconds=int(self._settings().dbt_vars()["session_gap_seconds"])),
            sessions_end_at_midnight=self.config.sessions_end_at_midnight,
        )

    def run(self, mart: str, facts: Facts, reporting: Reporting, **given: Any) -> list[dict[str, Any]]:
        """Rows of a mart (or of any other model) built from landed rows, as a first night would; given: see `Given`."""
        self.build((mart,), facts, reporting, **given)
        return self.read(mart)

    def build(self, models: Sequence[str], facts: Facts, reporting: Reporting, **given: Any) -> None:
        """Build models and all their ancestors from landed rows."""
        also = Given(**given)
        self._inputs.write_plan(facts, reporting, also)
        config = self.config.model_copy(update=also.configured)
        control.write_configuration(self._connection, config)
        self._inputs.write_predictions(also.predictions)
        self._versions.clear()
        for unique_id in self._lineage(models):
            node = self._nodes[unique_id]
            inputs = (node.code, *(self._version(parent) for parent in node.parents))
            if node.strategy == BY_VISITOR_DAY and also.replaced_days is not None:
                _delete_replaced(node, self._connection)
                self._connection.execute(f"insert into {node.address} by name {node.code}")
                self._built_from.pop(unique_id, None)
            elif self._built_from.get(unique_id) != inputs:
                self._built_from.pop(unique_id, None)
                self._create(node, self._connection)
                self._built_from[unique_id] = inputs

    def build_in(self, connection: duckdb.DuckDBPyConnection, marts: Sequence[str], *, is_rebuild: bool) -> None:
        """Build marts with their ancestors in a planned build file of the same configuration, as dbt would: seeds, then models.

        is_rebuild: build the incremental models anew; else only what the plan affects is replaced in them.
        """
        inputs = Inputs(connection, self.manifest)
        inputs.create_schemas()
        inputs.write_seeds()
        inputs.write_predictions({})
        if is_rebuild:
            visitor_days.affect_everything(connection, self.config.reporting_timezone)
        for node in (self._nodes[unique_id] for unique_id in self._lineage(marts)):
            if node.strategy is not None and not is_rebuild:
                connection.execute(f"create or replace temp table new_rows as {node.code}")
                _delete_replaced(node, connection)
                connection.execute(f"insert into {node.address} by name from new_rows")
            else:
                self._create(node, connection)

    def read(self, model: str) -> list[dict[str, Any]]:
        """Rows of a model as the last run that built it left it: a mart's ancestors need no run of their own."""
        result = self._connection.execute(f"select * from {self._nodes[self._id(model)].address}")
        names = [column[0] for column in result.description or ()]
        return [dict(zip(names, row, strict=True)) for row in result.fetchall()]

    def close(self) -> None:
        """Give the database back."""
        self._connection.close()

    def _settings(self, config: Config | None = None) -> Settings:
        # Not validated: the steps of drawn funnels, and so the names that may be mapped, are of the tests' own.
        return Settings.model_construct(home=self._home, landing=self._home, config_file=None, config=config or self.config)

    @cached_property
    def manifest(self) -> dict[str, Any]:
        path = self._settings().dbt_target / "manifest.json"
        if not path.exists():
            self._compile()
        manifest: dict[str, Any] = json.loads(path.read_bytes())
        return manifest

    def _compile(self) -> None:
        settings = self._settings()
        with _environment():
            settings.export()
            from dbt.adapters.duckdb.connections import DuckDBConnectionManager
            from dbt.cli.main import dbtRunner

            (self._home / "tmp").mkdir(parents=True, exist_ok=True)
            arguments = [
                "compile",
                "--select",
                "resource_type:model",
                "--no-populate-cache",
                "--quiet",
                "--log-level-file",
                "none",
            ]
            try:
                outcome = dbtRunner(manifest=self._parsed).invoke([*arguments, "--vars", json.dumps(settings.dbt_vars())])
            finally:
                DuckDBConnectionManager.close_all_connections()
        if not outcome.success:
            raise AssertionError(f"dbt compile failed: {outcome.exception or outcome.result}")

    @cached_property
    def _nodes(self) -> dict[str, _Node]:
        return {
            unique_id: _Node(
                address=f'"{node["schema"]}"."{node["alias"]}"',
                materialized=node["config"]["materialized"],
                strategy=node["config"].get("incremental_strategy"),
                language=node["language"],
                code=node["compiled_code"],
                columns=tuple(
                    (column["name"], column["data_type"], any(rule["type"] == "not_null" for rule in column["constraints"]))
                    for column in node["columns"].values()
                )
                if node["contract"]["enforced"]
                else (),
                parents=tuple(node["depends_on"]["nodes"]),
            )
            for unique_id, node in self.manifest["nodes"].items()
            if node["resource_type"] == "model"
        }

    def _id(self, name: str) -> str:
        return f"model.northstar.{name}"

    def _lineage(self, names: Sequence[str]) -> list[str]:
        """Models and their ancestors, parents first."""
        found: dict[str, None] = {}

        def visit(unique_id: str) -> None:
            if unique_id in self._nodes and unique_id not in found:
                for parent in self._nodes[unique_id].parents:
                    visit(parent)
                found[unique_id] = None

        for name in names:
            visit(self._id(name))
        return list(found)

    def _version(self, unique_id: str) -> _Version:
        if unique_id not in self._versions:
            self._versions[unique_id] = self._version_now(unique_id)
        return self._versions[unique_id]

    def _version_now(self, unique_id: str) -> _Version:
        node = self._nodes.get(unique_id)
        if node is None:
            source = self.manifest["sources"].get(unique_id) or self.manifest["nodes"][unique_id]
            address = f'"{source["schema"]}"."{source.get("alias") or source["name"]}"'
        elif node.materialized == "view":
            return hash(self._built_from[unique_id])
        else:
            address = node.address
        contents = self._connection.execute(f"select count(*), sum(hash(relation)::hugeint) from {address} as relation")
        return contents.fetchone() or ()

    def _create(self, node: _Node, connection: duckdb.DuckDBPyConnection) -> None:
        execute = connection.execute
        if node.language == "python":
            rows = self._call(node, connection)  # noqa: F841  (the query below names it)
            execute(f"create or replace table {node.address} as from rows")
        elif node.materialized == "view":
            execute(f"create or replace view {node.address} as {node.code}")
        elif node.columns:
            columns = ", ".join(f'"{name}" {type_}{" not null" if not_null else ""}' for name, type_, not_null in node.columns)
            execute(f"create or replace table {node.address} ({columns})")
            execute(f"insert into {node.address} by name {node.code}")
        else:
            execute(f"create or replace table {node.address} as {node.code}")

    def _call(self, node: _Node, connection: duckdb.DuckDBPyConnection) -> Any:
        """What a Python model returns, called as dbt-duckdb calls it."""
        module: dict[str, Any] = {}
        exec(compile(node.code, node.address, "exec"), module)  # noqa: S102  (the project's own model)
        return module["model"](module["dbtObj"](connection.table), connection)


def _delete_replaced(node: _Node, connection: duckdb.DuckDBPyConnection) -> None:
    if node.strategy == BY_VISITOR_DAY:
        visitor_days.delete_affected(connection, node.address)
    else:
        assert node.strategy == BY_AS_OF
        connection.execute(f"delete from {node.address} where {REPLACED_AS_OF}")


@contextmanager
def _environment() -> Iterator[None]:
    """Leave the environment of the process as it was."""
    before = dict(os.environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
