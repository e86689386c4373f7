"""Input checks of the models, and their errors.

Belongs here: the error classes and the checks of vectors, columns and rates. Does not belong here: conditions of a single
model, such as recency ≤ age.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike, NDArray


class ClvError(ValueError):
    """Invalid input, or a result that cannot be computed; the message names the model, its label and the column."""


class DegenerateDataError(ClvError):
    """Valid input that cannot be fitted: no churn, no repeats, too few customers. Pooling segments may help."""


class ConvergenceError(ClvError):
    """No maximum of the likelihood was found within the bounds, or the expectation at the maximum is not finite."""


class ConstantChurnError(ConvergenceError):
    """Churn does not fall with tenure, so the likelihood increases towards identical customers."""


def vector(
    values: "ArrayLike", name: str, subject: str, *, whole: bool = False, lowest: float = -np.inf, highest: float = np.inf
) -> "NDArray[np.float64]":
    """Convert values to floats of shape (n,). Raises ClvError unless all are finite, within the limits and, on request, whole."""
    try:
        found = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ClvError(f"{subject}: {name} must be numbers without NULLs ({error})") from None
    if found.ndim != 1:
        raise ClvError(f"{subject}: {name} must have one dimension, not {found.ndim}")
    wrong = ~np.isfinite(found) | (found < lowest) | (found > highest)
    if whole:
        wrong |= found != np.floor(found)
    if wrong.any():
        limits = [f"at least {lowest:g}"] * (lowest > -np.inf) + [f"at most {highest:g}"] * (highest < np.inf)
        kind = " and ".join(["whole numbers" if whole else "finite numbers", *limits])
        raise ClvError(f"{subject}: {name} must be {kind}; {int(wrong.sum())} of {len(found)} are not, first {found[wrong][0]:g}")
    return found


def same_length(subject: str, **vectors: "NDArray[np.float64]") -> None:
    """Raise ClvError unless all vectors have the same length."""
    if len({len(values) for values in vectors.values()}) > 1:
        lengths = ", ".join(f"{name} {len(values)}" for name, values in vectors.items())
        raise ClvError(f"{subject}: the columns differ in length ({lengths})")


def require_columns(frame: "pd.DataFrame", names: Sequence[str], subject: str) -> None:
    """Raise ClvError unless the frame has each of the columns exactly once."""
    for name in names:
        found = list(frame.columns).count(name)
        if found != 1:
            raise ClvError(f"{subject}: column {name!r} is {'missing' if found == 0 else 'there more than once'}")


def require_number(value: float, name: str, subject: str, *, lowest: float, whole: bool = False) -> float:
    """Return a setting. Raises ClvError unless it is finite, at least `lowest` and, on request, whole."""
    kinds = int if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not lowest <= value < float("inf"):
        raise ClvError(
            f"{subject}: {name} must be a {'whole' if whole else 'finite'} number of at least {lowest:g}, not {value!r}"
        )
    return value
