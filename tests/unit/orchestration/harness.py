"""Homes to orchestrate: landed rows, a real ingest, a real build file, the incremental chain by dbt or by the SQL it compiled.

Belongs here: making and comparing homes. Does not belong here: what they should hold (the tests).
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from orchestration.base.pseudonyms import load_key
from orchestration.config.schema import Config
from orchestration.config.settings import Settings
from orchestration.landing.arrivals import pending
from orchestration.landing.erasure import Ledger, rewrite
from orchestration.landing.erasure.rewriting import REQUESTS
from orchestration.landing.ingest import ingest
from orchestration.landing.lake import Lake
from orchestration.warehouse import dbt
from orchestration.warehouse.build_file import Warehouse
from orchestration.warehouse.fold_plan import FoldPlan, FoldPlanner
from orchestration.warehouse.incremental import Incremental
from tests import visitor_days

# The incremental chain, in the order in which dbt builds it.
INCREMENTAL = (
    ("intermediate", "int_events__duplicates"),
    ("intermediate", "int_events__unique"),
    ("intermediate", "int_activity__visitor_day"),
    ("intermediate", "int_activity__feature_day"),
    ("intermediate", "int_activity__account_day"),
    ("intermediate", "int_funnel__step_events"),
    ("intermediate", "int_sessions__fragments"),
)
_VIEWS = (("staging", "stg_events"),)
_STEPS = ("intermediate", "int_funnel__steps")
SELECTION = (
    "+int_activity__visitor_day",
    "+int_activity__feature_day",
    "+int_activity__account_day",
    "+int_funnel__step_events",
    "+int_sessions__fragments",
)

# Few events make a bot here, so that duplicates and lateness move visitors over the limit and back.
BOT_EVENTS = 3
FUNNELS = (
    {
        "name": "try",
        "window": "7d",
        "steps": (
            {"step": "look", "event": "page_viewed", "where": "value > 1"},
            {"step": "use", "event": "feature_used", "where": "feature in ('a', 'b') and properties.kind = 'x'"},
        ),
    },
)


class Home:
    """One home with its landing zone: `put` and `withdraw` files, `ingest`, `plan`, `build`, and look at what came of it."""

    # Of the project as it is: read once for all homes of a test run.
    incremental: Incremental | None = None

    def __init__(self, root: Path, **config: Any) -> None:
        self.root = root
        self.configure(**config)

    def configure(self, **config: Any) -> None:
        """Start over with another configuration on the same files, as a restarted process would."""
        home = self.root / "home"
        self.settings = Settings(home=home, landing=self.root / "landing", config_file=None, config=Config(**config))
        self.lake = Lake(home)
        self.warehouse = Warehouse(self.settings)
        self.ledger = Ledger(home, lambda: load_key(home, None), denied=(), max_links=self.settings.config.max_identity_links)

    def put(self, day: date, rows: Sequence[Mapping[str, Any]], *, source: str = "events", name: str = "part.jsonl") -> Path:
        path = self.settings.landing / source / f"dt={day}" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        # Two writes within one tick of the clock must not look like the same file.
        self._tick = getattr(self, "_tick", 1_700_000_000) + 1
        os.utime(path, (self._tick, self._tick))
        return path

    def ingest(self, days: Iterable[date] | None = None) -> None:
        chosen = None if days is None else set(days)
        landed = pending(self.settings.landing, self.lake)
        for source, found in sorted(landed.items(), key=lambda item: item[0] != REQUESTS):
            wanted = [day for day in found if chosen is None or day in chosen]
            if wanted:
                ingest(
                    self.settings.landing,
                    self.lake,
                    source,
                    wanted,
                    timezone=self.settings.config.reporting_timezone,
                    max_quarantine_ratio=self.settings.config.max_quarantine_ratio,
                    ledger=self.ledger,
                )

    @property
    def planner(self) -> FoldPlanner:
        incremental = self.incremental or Incremental.read(dbt.read_manifest(self.settings))
        return FoldPlanner(self.settings, self.lake, self.warehouse, incremental)

    def erase(self) -> None:
        """Who asked to be forgotten goes from the lake and the build file."""
        if self.ledger.pending:
            erased = rewrite(self.lake, self.ledger)
            self.planner.forget()
            self.ledger.mark_applied(erased)

    def plan(self, as_of: date | None = None) -> FoldPlan:
        return self.planner.plan(as_of)

    def build(self, plan: FoldPlan, parsed: Any) -> None:
        """The incremental chain by dbt in process."""
        results = list(dbt.build(self.settings, full_refresh=plan.is_rebuild, parsed=parsed, selection=SELECTION))
        failures = [result for result in results if result.is_failure]
        assert not failures, dbt.explain(failures)

    def night(self, parsed: Any, *, days: Iterable[date] | None = None, as_of: date | None = None) -> FoldPlan:
        self.ingest(days)
        plan = self.plan(as_of)
        self.build(plan, parsed)
        self.warehouse.mark_folded()
        return plan

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with self.warehouse.connect(read_only=True) as connection:
            return connection.execute(sql).fetchall()

    def affected_days(self) -> list[date]:
        return [day for (day,) in self.query("select distinct event_date from control.affected_visitor_days order by 1")]


class CompiledChain:
    """The incremental chain as dbt compiled it, run as plain SQL: some hundred times as fast as dbt, for many small scenarios."""

    def __init__(self, template: Home) -> None:
        compiled = template.settings.dbt_target / "compiled"
        self._sql = {
            relation: next(compiled.rglob(f"{relation[1]}.sql")).read_text() for relation in (*_VIEWS, _STEPS, *INCREMENTAL)
        }
        self._funnels = template.query("select * from core.funnels")

    def build(self, home: Home, plan: FoldPlan, *, stop_after: int | None = None) -> None:
        """What the strategy `replace_visitor_days` does, model by model; `stop_after` so many models the process is killed."""
        with home.warehouse.connect() as connection:
            for schema in ("staging", "intermediate", "core"):
                connection.execute(f"create schema if not exists {schema}")
            for schema, name in _VIEWS:
                connection.execute(f"create or replace view {schema}.{name} as {self._sql[schema, name]}")
            connection.execute(
                "create or replace table core.funnels (funnel varchar, step_number integer, step varchar, event varchar, "
                "window_seconds integer)"
            )
            connection.executemany("insert into core.funnels values (?, ?, ?, ?, ?)", self._funnels)
            connection.execute(f"create or replace table {'.'.join(_STEPS)} as {self._sql[_STEPS]}")
            if plan.is_rebuild:
                visitor_days.affect_everything(connection, home.settings.config.reporting_timezone)
            for number, (schema, name) in enumerate(INCREMENTAL):
                if number == stop_after:
                    return
                if plan.is_rebuild:
                    connection.execute(f"create or replace table {schema}.{name} as {self._sql[schema, name]}")
                    continue
                connection.execute("begin")
                connection.execute(f"create or replace temp table new_rows as {self._sql[schema, name]}")
                visitor_days.delete_affected(connection, f"{schema}.{name}")
                connection.execute(f"insert into {schema}.{name} by name select * from new_rows")
                connection.execute("commit")

    def night(self, home: Home, *, days: Iterable[date] | None = None, as_of: date | None = None) -> FoldPlan:
        home.ingest(days)
        plan = home.plan(as_of)
        self.build(home, plan)
        home.warehouse.mark_folded()
        return plan


def differences(left: Home, right: Home) -> dict[str, tuple[list[Any], list[Any]]]:
    """Per relation the rows that only one of the homes holds, duplicates counted; empty when both are equal row for row."""
    found = {}
    with duckdb.connect() as connection:
        for alias, home in (("a", left), ("b", right)):
            path = str(home.settings.warehouse).replace("'", "''")
            connection.execute(f"attach '{path}' as {alias} (read_only)")
        for schema, name in INCREMENTAL:
            only = [
                connection.execute(
                    f"select * from {one}.{schema}.{name} except all select * from {other}.{schema}.{name}"
                ).fetchall()
                for one, other in (("a", "b"), ("b", "a"))
            ]
            if any(only):
                found[f"{schema}.{name}"] = (only[0], only[1])
    return found


def event(event_id: str, occurred_at: str, **fields: Any) -> dict[str, Any]:
    return {"event_id": event_id, "event": "page_viewed", "occurred_at": occurred_at, "anonymous_id": "v1", **fields}


@contextmanager
def environment_restored() -> Iterator[None]:
    """Undo what settings export to the libraries."""
    saved = dict(os.environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(saved)
