"""Slices of time: as-of dates for fitting, calibration, choice and test.

Belongs here: dividing dates so that every label window closes before the next slice begins. Does not belong here: the use of
the slices (`training`, `rolling`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, cast

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

JUDGED = ("fit", "calibration", "test")
CHOSEN_AND_JUDGED = ("fit", "calibration", "choice", "test")
TAUGHT = ("fit", "calibration")

# Each slice but the first takes at least one date in so many more than there are slices: one in five of three, in six of four.
_SHARES_OF_THE_FIRST = 2


@dataclass(frozen=True)
class Slice:
    """Rows of consecutive as-of dates; each account is counted once, even if it is in several dates."""

    name: str
    dates: tuple[date, ...]
    rows: int
    churned_rows: int
    churned_accounts: int
    staying_accounts: int


class NotEnoughHistory(ValueError):  # noqa: N818 - not a fault: the caller decides what a young installation does without a model
    """Too few closed dates for the slices, or too few churns in one of them.

    slices: the slices found, newest first; minimum_churns: required in each; closed_dates: number of closed dates.
    """

    def __init__(self, slices: tuple[Slice, ...], *, wanted: int, closed_dates: int, minimum_churns: int) -> None:
        self.slices, self.closed_dates, self.minimum_churns = slices, closed_dates, minimum_churns
        found = ", ".join(
            f"{part.name}: {len(part.dates)} dates, {part.churned_accounts} churned and {part.staying_accounts} staying accounts"
            for part in slices
        )
        number = {2: "two", 3: "three", 4: "four"}[wanted]
        super().__init__(
            f"not enough history for a churn model: {closed_dates} closed as-of dates give {found or 'no slice'}; "
            f"{number} slices with at least {minimum_churns} churned and as many staying accounts each are needed"
        )


def split(
    labelled: "pd.DataFrame", names: Sequence[str] = JUDGED, *, label_window_days: int, minimum_churns: int
) -> tuple[Slice, ...]:
    """Divide into the named slices, oldest first, the dates of a frame with as_of_date, account_id and churned (0 or 1).

    The last slice is the newest dates: one in (slices + 2) of all, or more until it holds minimum_churns churned and staying
    accounts. Each one before is chosen likewise from the dates whose label window ends on or before the next slice's first
    date, and the first is all dates that are left so far ahead. Dates in the gaps are used by none. Raises NotEnoughHistory.
    """
    dates = np.unique(days(labelled))
    at_least = max(1, len(dates) // (len(names) + _SHARES_OF_THE_FIRST))
    window = np.timedelta64(label_window_days, "D")
    found: list[Slice] = []
    free = dates
    for name in reversed(names):
        if not len(free):
            break
        first = free[0] if name == names[0] else _newest(labelled, free, at_least, minimum_churns)
        found.append(describe(labelled, name, free[free >= first]))
        free = free[free + window <= first]
    if len(found) < len(names) or any(min(part.churned_accounts, part.staying_accounts) < minimum_churns for part in found):
        raise NotEnoughHistory(tuple(found), wanted=len(names), closed_dates=len(dates), minimum_churns=minimum_churns)
    return tuple(reversed(found))


def describe(labelled: "pd.DataFrame", name: str, dates: "NDArray[np.datetime64]") -> Slice:
    """Count the rows and accounts of a slice of consecutive dates."""
    inside = labelled.loc[labelled["as_of_date"].between(dates[0], dates[-1])]
    churned = inside["churned"] == 1
    return Slice(
        name=name,
        dates=tuple(cast("list[date]", dates.tolist())),
        rows=len(inside),
        churned_rows=int(churned.sum()),
        churned_accounts=int(inside.loc[churned, "account_id"].nunique()),
        staying_accounts=int(inside.loc[~churned, "account_id"].nunique()),
    )


def rows(labelled: "pd.DataFrame", part: Slice) -> "pd.DataFrame":
    """Return the rows of the slice's dates."""
    return labelled.loc[np.isin(days(labelled), np.array(part.dates, dtype="datetime64[D]"))]


def days(labelled: "pd.DataFrame") -> "NDArray[np.datetime64]":
    """Read the as-of dates as days, shape (rows,)."""
    found: NDArray[np.datetime64] = labelled["as_of_date"].to_numpy().astype("datetime64[D]")
    return found


def _newest(labelled: "pd.DataFrame", free: "NDArray[np.datetime64]", at_least: int, minimum_churns: int) -> "np.datetime64":
    """Find the latest first date with which a slice up to the last free date is large enough, else the first free date."""
    inside = labelled.loc[labelled["as_of_date"] <= free[-1]]
    first = free[-min(at_least, len(free))]
    for label in (0, 1):
        accounts = inside.loc[inside["churned"] == label].groupby("account_id")["as_of_date"].max()
        seen = np.sort(accounts.to_numpy().astype("datetime64[D]"))
        if len(seen) < minimum_churns:
            return cast("np.datetime64", free[0])
        first = min(first, seen[-minimum_churns])
    return cast("np.datetime64", first)
