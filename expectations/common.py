"""The checks derived from a mart's declaration.

Belongs here: the checks derived from the declaration (columns, types, NULLs, grain, dimensions, breakdown), and the comparisons
of every mart with the last release. Does not belong here: rules of one mart (`suites`), or builders of checks (`checks`).
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from expectations.checks import (
    DIMENSIONS,
    Check,
    Context,
    Severity,
    breakdown,
    in_set,
    not_null,
    published,
    row_count,
    schema,
    unique,
)
from expectations.history import as_before, renewed


class Declared(Protocol):
    """A mart's declaration."""

    @property
    def name(self) -> str:
        """Name of the mart."""

    @property
    def types(self) -> Mapping[str, str]:
        """DuckDB type of each column, in order."""

    @property
    def required(self) -> Sequence[str]:
        """Columns that are never NULL."""

    @property
    def values(self) -> Mapping[str, Sequence[str]]:
        """The allowed values of each restricted column."""

    @property
    def grain(self) -> Sequence[str]:
        """Columns that identify a row."""

    @property
    def keys(self) -> Sequence[str]:
        """The grain without dimension and segment."""

    @property
    def sums(self) -> Mapping[str, float]:
        """Measures that each dimension's segments add up to, each with the rounding allowed per segment."""


def of(
    context: Context,
    spec: Declared,
    *,
    shrink: float = 0.5,
    growth: float = 3,
    renews: Severity | None = "critical",
    scope: Sequence[str] = (),
    unsteady: Sequence[str] = (),
) -> list[Check]:
    """Make the checks derived from a mart's declaration.

    shrink, growth: bounds on its rows, as multiples of the last release's. renews: severity when the mart is unchanged although
    the data reach a later day; None if that is allowed. scope: keys within which a dimension is present for all rows or for
    none.
    unsteady: columns that may become empty from one night to the next.
    """
    return [
        row_count(context, spec.name, shrink=shrink, growth=growth),
        *declared(context, spec, scope=scope),
        *as_before(context, spec.name, [name for name in spec.types if name not in unsteady]),
        *([] if renews is None else [renewed(context, spec.name, severity=renews)]),
    ]


def declared(context: Context, spec: Declared, *, scope: Sequence[str] = ()) -> list[Check]:
    """Make the checks of `of` that compare nothing with the last release."""
    values = dict(spec.values)
    if "dimension" in spec.types:
        values.setdefault("dimension", DIMENSIONS)
    return [
        *schema(spec.name, spec.types),
        *not_null(spec.required),
        unique(spec.grain),
        *(in_set(column, known) for column, known in values.items()),
        *(breakdown(spec.name, spec.keys, scope, spec.sums) if spec.sums else []),
        *published(context, spec.name),
    ]
