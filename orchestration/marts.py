"""Typed declarations of marts, read from dbt's manifest; the only reader of the marts' YAML.

Belongs here: `MartSpec` and its reader. Does not belong here: building marts (`transform`), judging them
(`expectations`), or copying them into a release (`publishing`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from orchestration.base.errors import NorthstarError
from orchestration.config.values import TEAMS

_BREAKDOWN_COLUMNS = ("dimension", "segment")
# A segment's money is rounded to cents, so the sum of the segments may be off by as much for each.
_CENT = 0.01


@dataclass(frozen=True)
class Column:
    """A column of a mart. type: DuckDB's name of it. values: the permitted values; empty if any value is."""

    name: str
    type: str
    description: str
    is_required: bool = False
    pseudonym: str | None = None
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class Periods:
    """Periods of a mart's figures, from `meta.restated` of its YAML.

    start: column with the first day of the period.
    length: day, week, month or quarter; or length_column: the column that holds it.
    complete: column that is true once no more facts are expected; without one, a period closes with its day.
    condition: SQL that selects the rows without a breakdown.
    series: columns that distinguish the figures of one period.
    measures: columns compared between releases, summed over the rows of a series and period.
    facts: sources whose late facts change the measures.
    onward: whether facts after the period also change them, as in the later life of a cohort.
    """

    start: str
    length: str | None
    length_column: str | None
    complete: str | None
    condition: str
    series: tuple[str, ...]
    measures: tuple[str, ...]
    facts: tuple[str, ...]
    onward: bool


@dataclass(frozen=True)
class MartSpec:
    """One mart: its columns in order, and its declarations for publishing, the gate and the docs.

    grain: columns that identify a row. periods: None if no period ever closes.
    requires: sources of which at least one must have landed. filled_by: input without which the mart may be empty.
    sums: measures that are the sum over each dimension's segments, each with the rounding tolerated per segment.
    owner: the responsible team. version: of the columns, raised when one changes its meaning.
    published_until: last day of a deprecated mart. sources: unique ids of the dbt sources and models that it reads directly.
    """

    name: str
    grain: tuple[str, ...]
    columns: tuple[Column, ...] = ()
    description: str = ""
    owner: str = ""
    requires: tuple[str, ...] = ()
    filled_by: str | None = None
    periods: Periods | None = None
    sums: Mapping[str, float] = field(default_factory=dict)
    version: int = 1
    published_until: date | None = None
    sources: frozenset[str] = frozenset()

    @property
    def types(self) -> dict[str, str]:
        """DuckDB type by column, in order."""
        return {column.name: column.type for column in self.columns}

    @property
    def required(self) -> tuple[str, ...]:
        """Columns that are never NULL."""
        return tuple(column.name for column in self.columns if column.is_required)

    @property
    def values(self) -> dict[str, tuple[str, ...]]:
        """Permitted values of each column that is limited to some."""
        return {column.name: column.values for column in self.columns if column.values}

    @property
    def keys(self) -> tuple[str, ...]:
        """Columns of the grain without dimension and segment."""
        return tuple(name for name in self.grain if name not in _BREAKDOWN_COLUMNS)

    @property
    def pseudonyms(self) -> dict[str, str]:
        """Domain of each column that is published as pseudonyms."""
        return {column.name: column.pseudonym for column in self.columns if column.pseudonym is not None}

    @property
    def comment(self) -> str:
        """The published description, on one line."""
        return self.description + ("" if self.published_until is None else f" Published until {self.published_until}.")

    @property
    def column_comments(self) -> dict[str, str]:
        """The published description of each column, on one line."""
        return {column.name: column.description for column in self.columns}

    def reads_of(self, source: str) -> list[str]:
        """Return the tables of a dbt source that the mart reads directly."""
        prefix = f"source.northstar.{source}."
        return sorted(name.removeprefix(prefix) for name in self.sources if name.startswith(prefix))


def mart_nodes(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return the marts' nodes of a dbt manifest, by name."""
    return {
        node["name"]: node
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model" and node["schema"] == "marts"
    }


def read_specs(manifest: Mapping[str, Any]) -> dict[str, MartSpec]:
    """Read the marts of a dbt manifest, by name. Raises NorthstarError for an invalid declaration."""
    tests: dict[str, list[Mapping[str, Any]]] = {}
    for node in manifest["nodes"].values():
        if node["resource_type"] == "test" and node.get("attached_node"):
            tests.setdefault(node["attached_node"], []).append(node)
    specs = [_spec(node, tests.get(node["unique_id"], ())) for node in mart_nodes(manifest).values()]
    return {spec.name: spec for spec in sorted(specs, key=lambda spec: spec.name)}


def _spec(node: Mapping[str, Any], tests: Iterable[Mapping[str, Any]]) -> MartSpec:
    meta = node["config"]["meta"]
    generic = [(node["test_metadata"]["name"], node["test_metadata"]["kwargs"]) for node in tests if node.get("test_metadata")]
    values = {told["column_name"]: tuple(told["values"]) for name, told in generic if name == "accepted_values"}
    sums: dict[str, float] = {}
    for name, told in generic:
        if name == "segments_add_up":
            sums |= dict.fromkeys(told.get("columns", ()), 0.0) | dict.fromkeys(told.get("rounded", ()), _CENT)
    return MartSpec(
        name=node["name"],
        grain=tuple(meta["grain"]),
        columns=tuple(_column(declared, values.get(declared["name"], ())) for declared in node["columns"].values()),
        description=" ".join(node["description"].split()),
        owner=_owner(node["name"], meta.get("owner")),
        requires=tuple(meta["requires"]),
        filled_by=meta.get("filled_by"),
        periods=_periods(meta.get("restated"), node["columns"]),
        sums=sums,
        version=_version(node["name"], meta.get("version", 1)),
        published_until=date.fromisoformat(node["deprecation_date"][:10]) if node["deprecation_date"] else None,
        sources=frozenset(node["depends_on"]["nodes"]),
    )


def _column(declared: Mapping[str, Any], values: tuple[str, ...]) -> Column:
    return Column(
        name=declared["name"],
        type=str(declared.get("data_type") or "").upper().replace(", ", ","),
        description=" ".join(declared.get("description", "").split()),
        is_required=any(constraint["type"] == "not_null" for constraint in declared.get("constraints", ())),
        pseudonym=declared.get("config", {}).get("meta", {}).get("pseudonym"),
        values=values,
    )


def _periods(told: object, columns: Iterable[str]) -> Periods | None:
    if not isinstance(told, Mapping):
        return None
    return Periods(
        start=told["start"],
        length=told.get("length"),
        length_column=told.get("length_column"),
        complete=told.get("complete"),
        condition=told.get("where", "dimension = 'all'" if "dimension" in columns else "true"),
        series=tuple(told.get("series", ())),
        measures=tuple(told["measures"]),
        facts=tuple(told["facts"]),
        onward=bool(told.get("onward", False)),
    )


def _owner(mart: str, team: object) -> str:
    if team not in TEAMS:
        raise NorthstarError(f"{mart}: unknown team {team!r} in meta.owner, expected one of {', '.join(TEAMS)}")
    return str(team)


def _version(mart: str, number: object) -> int:
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise NorthstarError(f"{mart}: its meta.version is {number!r}, and must be a whole number from 1 on")
    return number
