"""The dbt project on small inputs: compiled once, then run in an in-memory DuckDB, one mart with its ancestors.

Belongs here: compiling, filling the relations that dbt reads (`lake`, `control`, seeds) from Python rows, and creating the models
by their compiled SQL or Python as dbt would, contracts included. Does not belong here: what the models should give
(`tests.oracles`), their inputs (`tests.dbt.facts`), or the build of a real home.
"""

import csv
import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa

from orchestration.config.project import DBT_PROJECT
from orchestration.config.schema import Config
from orchestration.config.settings import Settings
from orchestration.config.tables import Funnel, Pages
from orchestration.landing.contract import CONTRACT, LAKE_COLUMNS, Type
from orchestration.warehouse import control
from tests.oracles.reporting import Arrival, Facts, Reporting, arrivals_of

CATALOG = "warehouse"

_ARROW = {
    "VARCHAR": pa.string(),
    "JSON": pa.string(),
    "TIMESTAMP": pa.timestamp("us"),
    "DATE": pa.date32(),
    "BIGINT": pa.int64(),
    "BOOLEAN": pa.bool_(),
    "DECIMAL(18,4)": pa.decimal128(18, 4),
    "DECIMAL(18,6)": pa.decimal128(18, 6),
    "DECIMAL(18,8)": pa.decimal128(18, 8),
}


@dataclass(frozen=True)
class _Node:
    """A model as dbt compiled it, SQL or Python: `columns` are (name, type, not_null) where its contract is enforced."""

    address: str
    materialized: str
    language: str
    code: str
    columns: tuple[tuple[str, str, bool], ...]


class DbtProject:
    """The project compiled with one configuration, and a database to run its models in.

    home: an empty folder to compile in, or one in which the same configuration has been compiled.
    config: what is compiled in (time zone, currency, week, margin, bots, links, sessions), and denied ids. Its funnels,
    event names and targets are data of which every run may bring its own.
    """

    def __init__(self, config: Config, home: Path) -> None:
        self.config = config
        self._home = home
        self._connection = duckdb.connect()
        self._connection.execute(f"set TimeZone = 'UTC'; set threads = 1; attach ':memory:' as {CATALOG}; use {CATALOG}")
        schemas = {node["schema"] for node in self._manifest["nodes"].values() if node["resource_type"] in ("model", "seed")}
        for schema in sorted(schemas):
            self._connection.execute(f'create schema if not exists "{schema}"')
        self._connection.execute(control.CONTROL_TABLES)
        self._write_seeds()

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

    def run(
        self,
        mart: str,
        facts: Facts,
        reporting: Reporting,
        *,
        funnels: Sequence[Funnel] = (),
        event_names: Mapping[str, str] | None = None,
        plans: Mapping[str, str] | None = None,
        targets: Mapping[str, Decimal] | None = None,
        pages: Pages | None = None,
        arrivals: Mapping[tuple[str, date], Arrival] | None = None,
        replaced_days: Collection[date] | None = None,
        predictions: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
    ) -> list[dict[str, Any]]:
        """Rows of a mart (or of any other model) built from landed rows, as a first night would build it.

        arrivals: what ingest counted by source and arrival day, where it is something else than the landed rows themselves.
        replaced_days: build as a later night does, which replaces these event days alone in what the run before left behind;
        `facts` are all that ever landed.
        predictions: rows by table of `ml`, as the night's models would have written them; the others are empty.
        """
        connection = self._connection
        connection.execute(control.CONTROL_TABLES)
        self._write_lake(facts)
        brought = {
            "funnels": tuple(funnels),
            "event_names": dict(event_names or {}),
            "plans": dict(plans or {}),
            "targets": dict(targets or {}),
            "pages": pages or Pages(),
        }
        config = self.config.model_copy(update=brought)
        control.write_configuration(connection, config)
        self._write_arrivals(facts, reporting, arrivals_of(facts) if arrivals is None else arrivals)
        connection.execute("insert into control.run values (?, ?)", [reporting.data_through, replaced_days is None])
        self._write_predictions(predictions or {})
        for source in CONTRACT:
            connection.execute("insert into control.landed_sources values (?, ?)", [source, bool(facts.get(source))])
        days = replaced_days
        if days is None:
            happened = {row["occurred_at"].date() for row in facts.get("events", ())}
            days = {day + timedelta(days=shift) for day in happened for shift in (-2, -1, 0, 1, 2)}
        connection.execute("delete from control.affected_days")
        connection.execute("insert into control.affected_days select unnest(?::date[])", [sorted(days)])
        connection.execute("create or replace view control.events_to_fold as select * from lake.events")
        for node in self._lineage(mart):
            if node.materialized == "incremental" and replaced_days is not None:
                connection.execute(f"delete from {node.address} where event_date in (from control.affected_days)")
                connection.execute(f"insert into {node.address} by name {node.code}")
            else:
                self._create(node)
        return self.read(mart)

    def build_in(self, connection: duckdb.DuckDBPyConnection, marts: Sequence[str], *, is_rebuild: bool) -> None:
        """Build marts with their ancestors in a planned build file of the same configuration, as dbt would: seeds, then models.

        is_rebuild: build the incremental models anew; else only the days that the plan affects are replaced in them.
        """
        for schema in sorted({node["schema"] for node in self._manifest["nodes"].values() if "schema" in node}):
            connection.execute(f'create schema if not exists "{schema}"')
        self._write_seeds(connection)
        self._write_predictions({}, connection)
        lineage = dict.fromkeys(node for mart in marts for node in self._lineage(mart))
        for node in lineage:
            if node.materialized == "incremental" and not is_rebuild:
                connection.execute(f"create or replace temp table new_rows as {node.code}")
                connection.execute(f"delete from {node.address} where event_date in (from control.affected_days)")
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
    def _manifest(self) -> dict[str, Any]:
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
                outcome = dbtRunner().invoke([*arguments, "--vars", json.dumps(settings.dbt_vars())])
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
                language=node["language"],
                code=node["compiled_code"],
                columns=tuple(
                    (column["name"], column["data_type"], any(rule["type"] == "not_null" for rule in column["constraints"]))
                    for column in node["columns"].values()
                )
                if node["contract"]["enforced"]
                else (),
            )
            for unique_id, node in self._manifest["nodes"].items()
            if node["resource_type"] == "model"
        }

    def _id(self, name: str) -> str:
        return f"model.northstar.{name}"

    def _lineage(self, name: str) -> list[_Node]:
        """A model's ancestors and itself, parents first."""
        found: dict[str, None] = {}

        def visit(unique_id: str) -> None:
            if unique_id in self._nodes and unique_id not in found:
                for parent in self._manifest["nodes"][unique_id]["depends_on"]["nodes"]:
                    visit(parent)
                found[unique_id] = None

        visit(self._id(name))
        return [self._nodes[unique_id] for unique_id in found]

    def _create(self, node: _Node, connection: duckdb.DuckDBPyConnection | None = None) -> None:
        target = connection or self._connection
        execute = target.execute
        if node.language == "python":
            rows = self._call(node, target)  # noqa: F841  (the query below names it)
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

    def _write_seeds(self, connection: duckdb.DuckDBPyConnection | None = None) -> None:
        target = connection or self._connection
        for node in self._manifest["nodes"].values():
            if node["resource_type"] != "seed":
                continue
            with (DBT_PROJECT / node["original_file_path"]).open(encoding="utf-8", newline="") as file:
                header, *rows = csv.reader(file)
            columns = ", ".join(f'"{name}" {node["config"]["column_types"][name]}' for name in header)
            address = f'"{node["schema"]}"."{node["alias"]}"'
            target.execute(f"create or replace table {address} ({columns})")
            values = [[text or None for text in row] for row in rows]
            target.executemany(f"insert into {address} values ({', '.join('?' * len(header))})", values)

    def _write_lake(self, facts: Facts) -> None:
        unknown = facts.keys() - CONTRACT.keys()
        if unknown:
            raise ValueError(f"no source of the contract: {sorted(unknown)}")
        for source in CONTRACT.values():
            types = {column.name: column.type.sql for column in source.columns} | {name: type_ for name, type_, _ in LAKE_COLUMNS}
            rows = facts.get(source.name, ())
            columns = ", ".join(f'"{name}" {type_}' for name, type_ in types.items())
            self._connection.execute(f"create or replace table lake.{source.name} ({columns})")
            if rows:
                unexpected = {name for row in rows for name in row} - types.keys()
                if unexpected:
                    raise ValueError(f"no column of {source.name}: {sorted(unexpected)}")
                table = pa.table(
                    {name: pa.array([row.get(name) for row in rows], _ARROW[type_]) for name, type_ in types.items()}
                )
                self._connection.register("landed", table)
                self._connection.execute(f"insert into lake.{source.name} from landed")
                self._connection.unregister("landed")

    def _write_predictions(
        self, predictions: Mapping[str, Sequence[Mapping[str, Any]]], connection: duckdb.DuckDBPyConnection | None = None
    ) -> None:
        target = connection or self._connection
        tables = {node["name"]: node["columns"] for node in self._manifest["sources"].values() if node["source_name"] == "ml"}
        if unknown := predictions.keys() - tables.keys():
            raise ValueError(f"no table of ml: {sorted(unknown)}")
        target.execute("create schema if not exists ml")
        for table, columns in tables.items():
            declared = ", ".join(f'"{column["name"]}" {column["data_type"]}' for column in columns.values())
            target.execute(f"create or replace table ml.{table} ({declared})")
            if rows := predictions.get(table):
                values = [[row[name] for name in columns] for row in rows]
                target.executemany(f"insert into ml.{table} values ({', '.join('?' * len(columns))})", values)

    def _write_arrivals(self, facts: Facts, reporting: Reporting, arrivals: Mapping[tuple[str, date], Arrival]) -> None:
        execute = self._connection.execute
        execute("delete from control.arrivals; delete from control.happened")
        if arrivals:
            rows = [(source, day, *counts) for (source, day), counts in arrivals.items()]
            self._connection.executemany("insert into control.arrivals values (?, ?, ?, ?, ?)", rows)
        for source in CONTRACT.values():
            if facts.get(source.name):
                happened = f'"{source.happened_at}"'
                if source.column(source.happened_at).type is Type.TIMESTAMP:
                    happened = f"cast({happened} at time zone 'UTC' at time zone '{reporting.timezone}' as date)"
                execute(
                    f"insert into control.happened select '{source.name}', arrived_date, {happened}, count(*)"
                    f" from lake.{source.name} group by all"
                )


@contextmanager
def _environment() -> Iterator[None]:
    """Leave the environment of the process as it was."""
    before = dict(os.environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
