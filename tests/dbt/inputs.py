"""The relations that dbt reads, filled from Python rows: the lake, what a night's plan writes, outputs of models, seeds.

Belongs here: writing them to a database. Does not belong here: the models that read them (`harness`), drawn rows (`facts`).
"""

import csv
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa

from orchestration.config.project import DBT_PROJECT
from orchestration.config.tables import Funnel, Pages
from orchestration.landing.contract import CONTRACT, LAKE_COLUMNS, Source, Type
from orchestration.warehouse.control import CONTROL_TABLES
from tests.oracles.reporting import Arrivals, Facts, Reporting, Row, arrivals_of
from tests.visitor_days import VISITOR, event_date

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
class Given:
    """Inputs of a run beside the landed rows.

    funnels, event_names, plans, targets, pages: configuration that every run may set anew.
    arrivals: ingest's counts by source and arrival day, where they differ from the landed rows.
    replaced_days: build as a later night does, which replaces these event days alone in the tables of the run before; the facts
    are all that ever landed.
    predictions: rows by table of `ml`, as the night's models would have written them; the others are empty.
    """

    funnels: Sequence[Funnel] = ()
    event_names: Mapping[str, str] = field(default_factory=dict)
    plans: Mapping[str, str] = field(default_factory=dict)
    targets: Mapping[str, Decimal] | None = None
    pages: Pages | None = None
    arrivals: Arrivals | None = None
    replaced_days: Collection[date] | None = None
    predictions: Mapping[str, Sequence[Row]] = field(default_factory=dict)

    @property
    def configured(self) -> dict[str, Any]:
        """The fields of `Config`."""
        return {
            "funnels": tuple(self.funnels),
            "event_names": dict(self.event_names),
            "plans": dict(self.plans),
            "targets": dict(self.targets or {}),
            "pages": self.pages or Pages(),
        }


class Inputs:
    """The relations that dbt reads, in one database."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, manifest: Mapping[str, Any]) -> None:
        self._connection = connection
        self._manifest = manifest
        self._landed: dict[str, Sequence[Row]] = {}

    def create_schemas(self) -> None:
        """Create every schema that the project's models and seeds lie in."""
        schemas = {node["schema"] for node in self._manifest["nodes"].values() if node["resource_type"] in ("model", "seed")}
        for schema in sorted(schemas):
            self._connection.execute(f'create schema if not exists "{schema}"')

    def write_plan(self, facts: Facts, reporting: Reporting, given: Given) -> None:
        """Write the lake and the tables of `control`, the configured ones excepted."""
        execute = self._connection.execute
        execute(CONTROL_TABLES)
        self._write_lake(facts)
        self._write_arrivals(facts, reporting, arrivals_of(facts) if given.arrivals is None else given.arrivals)
        execute("insert into control.run values (?, ?)", [reporting.data_through, given.replaced_days is None])
        landed = ", ".join(f"('{source}', {bool(facts.get(source))})" for source in CONTRACT)
        execute(f"insert into control.landed_sources values {landed}")
        execute("delete from control.affected_visitor_days")
        day, days = event_date(str(reporting.timezone)), given.replaced_days
        execute(
            f"insert into control.affected_visitor_days select distinct {day}, {VISITOR} from lake.events"
            f" where ? or list_contains(?::date[], {day})",
            [days is None, sorted(days or ())],
        )
        execute("delete from control.affected_as_of")
        execute("insert into control.affected_as_of values (date '0001-01-01')")
        execute(
            "create or replace view control.events_to_fold as select landed.* from lake.events as landed"
            " inner join control.affected_visitor_days as affected"
            f" on {day} = affected.event_date and {VISITOR} = affected.visitor_id"
        )

    def write_seeds(self) -> None:
        """Write the project's seeds as they are in its files."""
        for node in self._manifest["nodes"].values():
            if node["resource_type"] != "seed":
                continue
            with (DBT_PROJECT / node["original_file_path"]).open(encoding="utf-8", newline="") as file:
                header, *rows = csv.reader(file)
            types = {name: node["config"]["column_types"][name] for name in header}
            self._create(f'"{node["schema"]}"."{node["alias"]}"', types, [[text or None for text in row] for row in rows])

    def write_predictions(self, predictions: Mapping[str, Sequence[Row]]) -> None:
        """Write the tables of `ml`, empty where nothing is predicted."""
        tables = {node["name"]: node["columns"] for node in self._manifest["sources"].values() if node["source_name"] == "ml"}
        if unknown := predictions.keys() - tables.keys():
            raise ValueError(f"no table of ml: {sorted(unknown)}")
        self._connection.execute("create schema if not exists ml")
        for table, columns in tables.items():
            types = {column["name"]: column["data_type"] for column in columns.values()}
            self._create(f"ml.{table}", types, [[row[name] for name in columns] for row in predictions.get(table, ())])

    def _create(self, address: str, types: Mapping[str, str], rows: Sequence[Sequence[Any]]) -> None:
        columns = ", ".join(f'"{name}" {type_}' for name, type_ in types.items())
        self._connection.execute(f"create or replace table {address} ({columns})")
        self._insert(address, rows)

    def _insert(self, address: str, rows: Sequence[Sequence[Any]]) -> None:
        """All rows in one statement: bound one after the other they take a millisecond each."""
        if rows:
            values = ", ".join(f"({', '.join('?' * len(row))})" for row in rows)
            self._connection.execute(f"insert into {address} values {values}", [value for row in rows for value in row])

    def _write_lake(self, facts: Facts) -> None:
        if unknown := facts.keys() - CONTRACT.keys():
            raise ValueError(f"no source of the contract: {sorted(unknown)}")
        for source in CONTRACT.values():
            rows = list(facts.get(source.name, ()))
            if rows != self._landed.get(source.name):
                self._write_source(source, rows)
                # A copy: the test may go on to change its rows.
                self._landed[source.name] = [dict(row) for row in rows]

    def _write_source(self, source: Source, rows: Sequence[Row]) -> None:
        types = {column.name: column.type.sql for column in source.columns} | {name: type_ for name, type_, _ in LAKE_COLUMNS}
        if unexpected := {name for row in rows for name in row} - types.keys():
            raise ValueError(f"no column of {source.name}: {sorted(unexpected)}")
        self._create(f"lake.{source.name}", types, ())
        if rows:
            table = pa.table({name: pa.array([row.get(name) for row in rows], _ARROW[type_]) for name, type_ in types.items()})
            self._connection.register("landed", table)
            self._connection.execute(f"insert into lake.{source.name} from landed")
            self._connection.unregister("landed")

    def _write_arrivals(self, facts: Facts, reporting: Reporting, arrivals: Arrivals) -> None:
        execute = self._connection.execute
        execute("delete from control.arrivals; delete from control.happened")
        self._insert("control.arrivals", [(source, day, *counts) for (source, day), counts in arrivals.items()])
        for source in CONTRACT.values():
            if facts.get(source.name):
                happened = f'"{source.happened_at}"'
                if source.column(source.happened_at).type is Type.TIMESTAMP:
                    happened = f"cast({happened} at time zone 'UTC' at time zone '{reporting.timezone}' as date)"
                execute(
                    f"insert into control.happened select '{source.name}', arrived_date, {happened}, count(*)"
                    f" from lake.{source.name} group by all"
                )
