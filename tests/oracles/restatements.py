"""Oracle of mart_restatements__release: which figures of closed periods two published files hold, and by how much they moved.

Belongs here: reading the files row by row and adding up. Does not belong here: why a figure moved, which the tests know that let
something arrive.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

Row = Mapping[str, Any]
Figure = tuple[str, str, str, date, str]
"""Mart, series, length of the period, its first day, measure."""


@dataclass(frozen=True)
class Mart:
    """Which of a mart's columns say what: its figures, the period's first day and length, and when a row is final."""

    measures: tuple[str, ...]
    start: str
    length: str = "month"
    length_column: str | None = None
    # Without one a row is final when its day is over.
    final: str | None = None
    series: tuple[str, ...] = ()
    # Values of a column whose figures go on moving by their nature, however long their period is over.
    left_out: Mapping[str, set[str]] = field(default_factory=dict)

    def figure(self, name: str, row: Row, measure: str) -> Figure:
        """Name of the figure that a row is part of."""
        series = " / ".join(str(row[column]) for column in self.series) or "all"
        return name, series, row[self.length_column] if self.length_column else self.length, row[self.start], measure

    def is_final(self, row: Row, through: date) -> bool:
        """Whether a row of a release with data through that day will stay, as far as the release knew."""
        return bool(row[self.final]) if self.final else row[self.start] <= through


MARTS = {
    "mart_engagement__daily": Mart(
        (
            "active_count",
            "new_count",
            "retained_count",
            "resurrected_count",
            "dormant_count",
            "session_count",
            "core_feature_user_count",
            "session_minutes_avg",
            "features_used_avg",
        ),
        "date",
        "day",
    ),
    "mart_funnel__entry": Mart(
        ("person_count",),
        "entry_start",
        length_column="entry_grain",
        final="is_mature",
        series=("funnel", "step_number", "step"),
    ),
    "mart_retention__cohort": Mart(
        ("retained_count",),
        "cohort_start",
        length_column="cohort_grain",
        final="is_mature",
        series=("cohort_event", "rule"),
        left_out={"rule": {"on_or_after"}},
    ),
    "mart_mrr__month": Mart(
        (
            "new_mrr",
            "reactivation_mrr",
            "expansion_mrr",
            "contraction_mrr",
            "churned_mrr",
            "closing_mrr",
            "closing_account_count",
        ),
        "month",
        final="is_complete",
    ),
    "mart_ltv__cohort": Mart(("revenue", "margin"), "cohort_month", final="is_mature"),
    "mart_metric__daily": Mart(
        ("value",),
        "period_start",
        length_column="period",
        final="is_complete",
        series=("metric",),
        left_out={"metric": {"ltv", "ltv_to_cac", "cac_to_ltv_alarm", "marketing_roi", "data_accuracy", "avg_health_score"}},
    ),
}


def restated(
    before: Path, after: Path, grains: Mapping[str, tuple[str, ...]], throughs: tuple[date, date]
) -> dict[Figure, tuple[float | None, float | None]]:
    """Figures of the marts above that differ between two published files, each with what it was and is.

    grains: mart → its key. throughs: last complete days of the two. A row that one file lacks counts as final there when one of
    the same kind, of the same key but for the period and the breakdown, is final in it that is as new or newer.
    """
    found: dict[Figure, tuple[float | None, float | None]] = {}
    for name, mart in MARTS.items():
        sides = [_rows(path, name) for path in (before, after)]
        cells = [
            {
                tuple(row[column] for column in grains[name]): row
                for row in rows
                if all(row[column] not in values for column, values in mart.left_out.items())
            }
            for rows in sides
        ]
        kind_of = [n for n, column in enumerate(grains[name]) if column not in (mart.start, "dimension", "segment")]
        start_of = grains[name].index(mart.start)
        newest: list[dict[tuple[Any, ...], date]] = [{}, {}]
        for side, through in enumerate(throughs):
            for key, row in cells[side].items():
                kind = tuple(key[n] for n in kind_of)
                if mart.is_final(row, through):
                    newest[side][kind] = max(newest[side].get(kind, date.min), key[start_of])
        sums: dict[Figure, list[Any]] = defaultdict(lambda: [None, None])
        for key in {*cells[0], *cells[1]}:
            kind = tuple(key[n] for n in kind_of)
            if kind not in newest[0] or key[start_of] > min(newest[0][kind], newest[1].get(kind, date.max)):
                continue
            for side in (0, 1):
                row = cells[side].get(key)
                for measure in mart.measures:
                    if row is not None and row[measure] is not None:
                        figure = mart.figure(name, row, measure)
                        sums[figure][side] = (sums[figure][side] or 0) + row[measure]
        for figure, (old, new) in sums.items():
            if old != new:
                found[figure] = (None if old is None else float(old), None if new is None else float(new))
    return found


def _rows(path: Path, mart: str) -> list[dict[str, Any]]:
    with duckdb.connect(str(path), read_only=True) as connection:
        result = connection.execute(f"select * from {mart} where dimension = 'all'")
        names = [column[0] for column in result.description or ()]
        return [dict(zip(names, row, strict=True)) for row in result.fetchall()]
