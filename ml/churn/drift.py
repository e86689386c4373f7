"""Drift: whether scored rows still resemble the training data.

Belongs here: the reference distribution kept in the card, and the comparison of a frame with it. Does not belong here: acting
on drift (the caller), pictures (`report`).

The measure is the population stability index, PSI = Σ (now − then) · ln(now / then) over bins. Bins are about tenths of the
reference; values shared by many rows merge them. Edges lie 5 % beyond the tenths: many accounts pay one price, which changes a
little every day with the exchange rate, and an edge at the price itself would report that as drift. NULL is a bin of its own.
Each bin's count is raised by one half before computing shares (Jeffreys' prior), so that an empty bin contributes a finite
amount.

Where nothing drifted, rows · PSI is about χ² with bins − 1 degrees of freedom when the reference is much larger. With ten or
eleven bins 150 rows then reach 0.2 once in 1,000 times, 100 rows once in 30: below 150 no verdict is given.

References: N. Siddiqi (2006), Credit Risk Scorecards, ch. 9, for PSI and its usual alarm at 0.2 (he says 0.25, 0.1 for a look);
B. Yurdakul (2018), Statistical properties of population stability index, Western Michigan University, §3, for its distribution.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ml.churn.features import FEATURE_NAMES, FEATURES, FeatureError, numbers

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

SCORE = "churn_probability"
THRESHOLD = 0.2
MINIMUM_ROWS = 150

_MARGIN = 0.05


@dataclass(frozen=True)
class ColumnDrift:
    """Change of one column's distribution.

    psi: 0 or above, higher for a larger change. out_of_range: rows below the smallest or above the largest value of the
    reference.
    """

    name: str
    psi: float
    null_share: float
    reference_null_share: float
    out_of_range: int


@dataclass(frozen=True)
class Drift:
    """The comparison of one frame with the reference.

    columns: each readable feature, then the score. drifted: names of columns whose PSI reaches the threshold; None when there
    are too few rows for a verdict. out_of_range: names of columns with values outside the range of the training data.
    off_schema: columns that are missing or violate the schema, with the fault.
    """

    rows: int
    reference_rows: int
    threshold: float
    minimum_rows: int
    columns: tuple[ColumnDrift, ...]
    drifted: tuple[str, ...] | None
    out_of_range: tuple[str, ...]
    off_schema: dict[str, str]

    @property
    def alarms(self) -> tuple[str, ...]:
        """Reasons for a new model: drifted columns except traits, which age with the company, and columns off the schema."""
        traits = {feature.name for feature in FEATURES if feature.indicator is None}
        drifted = tuple(name for name in self.drifted or () if name not in traits)
        return (*drifted, *self.off_schema)


def reference(frame: "pd.DataFrame", probabilities: "Floats") -> dict[str, Any]:
    """Describe the distribution of each feature of the frame and of the probabilities (of any rows), JSON-serialisable.

    Per column: bin edges (bin i holds values above edge i − 1 up to edge i, the last all above), shares of the bins and last of
    NULL, rows, the smallest and the largest value. Raises FeatureError for a frame off the schema, ValueError without rows.
    """
    if not len(frame) or not len(probabilities):
        raise ValueError("drift: a reference needs at least one row")
    columns = {feature.name: numbers(frame, feature.name, nullable=feature.nullable) for feature in FEATURES}
    return {name: _described(values) for name, values in {**columns, SCORE: probabilities}.items()}


def drift(
    frame: "pd.DataFrame",
    probabilities: "Floats",
    reference: Mapping[str, Any],
    *,
    threshold: float = THRESHOLD,
    minimum_rows: int = MINIMUM_ROWS,
) -> Drift:
    """Compare a frame and its probabilities, shape (rows,), with the reference of a card.

    Columns off the schema are named in the result, not raised: the others can still be compared. Raises ValueError for a
    reference of another schema, parameters out of range, and probabilities that are not one for each row.
    """
    missing = [name for name in (*FEATURE_NAMES, SCORE) if name not in reference]
    if missing:
        raise ValueError(f"drift: the reference lacks {', '.join(missing)}; it is another schema's")
    if not threshold > 0 or minimum_rows < 1 or probabilities.shape != (len(frame),):
        raise ValueError(
            f"drift: threshold {threshold} must be above 0, minimum_rows {minimum_rows} at least 1, and probabilities one for "
            f"each of {len(frame)} rows, not of shape {probabilities.shape}"
        )
    readable: dict[str, Floats] = {}
    off_schema: dict[str, str] = {}
    for feature in FEATURES:
        try:
            readable[feature.name] = numbers(frame, feature.name, nullable=feature.nullable)
        except FeatureError as error:
            off_schema[feature.name] = str(error)
    columns = tuple(_compared(name, values, reference[name]) for name, values in {**readable, SCORE: probabilities}.items())
    return Drift(
        rows=len(frame),
        reference_rows=reference[FEATURE_NAMES[0]]["rows"],
        threshold=threshold,
        minimum_rows=minimum_rows,
        columns=columns,
        drifted=tuple(column.name for column in columns if column.psi >= threshold) if len(frame) >= minimum_rows else None,
        out_of_range=tuple(column.name for column in columns if column.out_of_range),
        off_schema=off_schema,
    )


def _described(values: "Floats") -> dict[str, Any]:
    known = values[~np.isnan(values)]
    # An edge at the largest value would open a bin above it that is empty by construction.
    tenths = np.quantile(known, np.arange(1, 10) / 10, method="inverted_cdf") if len(known) else known
    edges = np.unique(tenths + _MARGIN * np.abs(tenths))
    edges = edges[edges < known.max()] if len(known) else edges
    return {
        "rows": len(values),
        "edges": edges.tolist(),
        "shares": (_counts(values, edges) / len(values)).tolist(),
        "minimum": float(known.min()) if len(known) else None,
        "maximum": float(known.max()) if len(known) else None,
    }


def _compared(name: str, values: "Floats", then: Mapping[str, Any]) -> ColumnDrift:
    counts = _counts(values, np.array(then["edges"], dtype=np.float64))
    before = np.array(then["shares"]) * then["rows"]
    # A bin that is empty on both sides, as NULL usually is, is ignored.
    used = (counts > 0) | (before > 0)
    now, was = ((side[used] + 0.5) / (side[used] + 0.5).sum() for side in (counts, before))
    known = values[~np.isnan(values)]
    beyond = len(known) if then["minimum"] is None else int(((known < then["minimum"]) | (known > then["maximum"])).sum())
    return ColumnDrift(
        name=name,
        psi=float(((now - was) * np.log(now / was)).sum()),
        null_share=1 - len(known) / len(values) if len(values) else 0.0,
        reference_null_share=then["shares"][-1],
        out_of_range=beyond,
    )


def _counts(values: "Floats", edges: "Floats") -> "NDArray[np.int64]":
    """Count the values of each bin, and last the NULLs; shape (edges + 2,)."""
    empty = np.isnan(values)
    inside = np.bincount(np.searchsorted(edges, values[~empty], side="left"), minlength=len(edges) + 1)
    return np.append(inside, empty.sum())
