"""Two releases side by side, for `northstar diff`.

Belongs here: collecting and ordering rows, columns and changed figures of two releases. Does not belong here: the comparison
(`changes`), or tables for people (`cli`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from orchestration.base.errors import UserError
from orchestration.marts import MartSpec
from orchestration.publishing.comparison.changes import Snapshot, count_rows, moved_sql
from orchestration.publishing.manifest import RowChanges, SchemaChange, schema_changes
from orchestration.publishing.store import ReleaseStore


@dataclass(frozen=True)
class MartDiff:
    """One mart in two releases: its rows, or why they cannot be compared, and its columns."""

    mart: str
    rows: RowChanges | str
    schema: tuple[SchemaChange, ...]


@dataclass(frozen=True)
class Move:
    """A changed figure of a period closed in both releases; None where a release lacks the figure."""

    mart: str
    series: str
    period: str
    period_start: date
    measure: str
    before: float | None
    after: float | None

    @property
    def change_rate(self) -> float:
        """The change as a share of the earlier figure; infinite if that is missing or 0."""
        moved = (self.after or 0) - (self.before or 0)
        if self.before:
            return moved / abs(self.before)
        return float("inf") if moved >= 0 else float("-inf")


@dataclass(frozen=True)
class ReleaseDiff:
    """Marts by name, and moves, the largest first."""

    marts: tuple[MartDiff, ...]
    moves: tuple[Move, ...]

    def beyond(self, share: float) -> list[Move]:
        """Moves by more than this share of the earlier figure."""
        return [move for move in self.moves if abs(move.change_rate) > share]


def diff(store: ReleaseStore, before: str, after: str, specs: Mapping[str, MartSpec]) -> ReleaseDiff:
    """Compare two releases by their ids; neither needs to be the current one.

    specs: the marts' declared grain and periods. Raises `UserError` for an unknown release, or one that is named twice.
    """
    if before == after:
        raise UserError(f"a diff needs two releases, not {before} twice")
    old, new = store.release(before), store.release(after)
    schema = schema_changes(old.manifest.marts, new.manifest.marts)
    with store.opened({"before": old.database, "after": new.database}) as connection:
        sides = Snapshot.of_release("before", old.manifest), Snapshot.of_release("after", new.manifest)
        rows = count_rows(connection, specs, *sides)
        moves = [Move(*row) for row in connection.execute(moved_sql(specs, *sides)).fetchall()]
    marts = (
        MartDiff(mart, found, tuple(change for change in schema if change.name.split(".")[0] == mart))
        for mart, found in rows.items()
    )
    return ReleaseDiff(tuple(marts), _largest_first(moves))


def _largest_first(moves: Sequence[Move]) -> tuple[Move, ...]:
    def order(move: Move) -> tuple[float, float, str, date, str, str]:
        moved = abs((move.after or 0) - (move.before or 0))
        return -abs(move.change_rate), -moved, move.mart, move.period_start, move.series, move.measure

    return tuple(sorted(moves, key=order))
