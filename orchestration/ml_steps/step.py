"""The base of an ML step, and its access to data.

Belongs here: the interface of steps for the night, Dagster and the command line. Does not belong here: the list of steps
(`registry`), and their work.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import ConfigDict

from orchestration.base.sql import identifier
from orchestration.config.schema import Config
from orchestration.ml_steps.model_store import ModelStore, StoredModel
from orchestration.warehouse.build_file import Warehouse

if TYPE_CHECKING:
    import pandas as pd

# Outcomes are stored as JSON; NaN and infinity are kept.
_AS_THEY_ARE = ConfigDict(ser_json_inf_nan="constants")

SCHEMA = "ml"
"""Schema of the build file that steps write."""


@dataclass(frozen=True)
class Workbench:
    """Access of a step's task to data and models.

    data_through: last complete day. models: the step's stored models; other state of a step (issued forecasts, frozen segments)
    belongs in the same folder. tables: columns and DuckDB types of the tables of `ml`, by table, as declared in dbt.
    """

    config: Config
    warehouse: Warehouse
    models: ModelStore
    data_through: date
    tables: Mapping[str, Mapping[str, str]]

    def read(self, query: str) -> "pd.DataFrame":
        """Rows of a query over the build file."""
        with self.warehouse.connect(read_only=True) as connection:
            return connection.execute(query).df()

    def write(self, table: str, frame: "pd.DataFrame | None") -> int:
        """Replace a table of `ml` by a frame's columns, cast to the declared types; None empties it. Returns its rows."""
        columns = self.tables[table]
        name = f"{SCHEMA}.{identifier(table)}"
        with self.warehouse.connect() as connection:
            connection.execute(f"create schema if not exists {SCHEMA}")
            if frame is None:
                empty = ", ".join(f"null::{type_} as {identifier(column)}" for column, type_ in columns.items())
                connection.execute(f"create or replace table {name} as select {empty} limit 0")
                return 0
            connection.register("frame_to_write", frame)
            typed = ", ".join(f"{identifier(column)}::{type_} as {identifier(column)}" for column, type_ in columns.items())
            connection.execute(f"create or replace table {name} as select {typed} from frame_to_write")
        return len(frame)


@dataclass(frozen=True)
class Finding:
    """Result of a task's check: whether it passed, and the numbers that it compared."""

    __pydantic_config__: ClassVar[ConfigDict] = _AS_THEY_ARE
    passed: bool
    numbers: Mapping[str, int | float | str] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """Result of a task.

    rows: read or written, as shown in the night's progress. detail: a short text. tables: rows of each written table.
    metadata: for Dagster. report: for people, Markdown. missing: why nothing was produced; findings are then meaningless.
    findings: by the names of the task's checks. notes: for the step's own `pages`; JSON.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _AS_THEY_ARE
    rows: int = 0
    detail: str = ""
    tables: Mapping[str, int] = field(default_factory=dict)
    metadata: Mapping[str, str | float] = field(default_factory=dict)
    report: str = ""
    missing: str = ""
    findings: Mapping[str, Finding] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CheckSpec:
    """A check of a task's outputs. is_blocking: whether a failure stops everything built from the outputs."""

    description: str
    is_blocking: bool = True


@dataclass(frozen=True)
class Task:
    """One stage of a step.

    name: as shown in the night's progress, unique among all steps. description: of its work. outputs: names below `ml`, each
    with a description; tables, or a model. reads: intermediate models. follows: outputs of earlier tasks that it reads. checks:
    of its last output, by name.
    """

    name: str
    outputs: Mapping[str, str]
    reads: tuple[str, ...]
    run: Callable[[Workbench], Outcome]
    follows: tuple[str, ...] = ()
    kinds: frozenset[str] = frozenset({"scikitlearn", "duckdb"})
    checks: Mapping[str, CheckSpec] = field(default_factory=dict)


class Step(ABC):
    """One ML step: its tasks in order, and its interface for other rooms. The defaults are those of a step without stored models.

    name: of its folder below `models` and of its module. stores_models: whether it keeps trained models, with a champion among
    them.
    """

    name: str
    stores_models: bool = False

    @property
    @abstractmethod
    def tasks(self) -> tuple[Task, ...]:
        """Its stages, in order."""

    def absence(self, models: ModelStore) -> str | None:
        """Why marts that read its tables directly would be empty; None if they would not."""
        del models
        return None

    def model_version(self, models: ModelStore) -> str | None:
        """The stored model behind the published values; None for a step without stored models."""
        del models
        return None

    def check(self, model: StoredModel) -> None:
        """Raise NorthstarError when a stored model's bytes or its predictions have changed."""
        del model

    def pages(self, outcomes: Mapping[str, Outcome], models: ModelStore) -> Mapping[str, str]:
        """HTML pages of a release, by file name. outcomes: of this night's tasks, by task."""
        del outcomes, models
        return {}
