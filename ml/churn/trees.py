"""The trees of scikit-learn's histogram gradient boosting, which are private in the library.

Belongs here: the only reads of `_predictors` and `_baseline_prediction`; `tests/unit/contracts` checks them for the pinned
version. Does not belong here: computations on the trees (`reasons`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Union

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Leaf:
    """End of a path; value: its addition to the log-odds, learning rate included."""

    value: float


@dataclass(frozen=True)
class Split:
    """Rows with `feature` ≤ threshold go left, others right; rows without a value go left if missing_goes_left."""

    feature: int
    threshold: float
    missing_goes_left: bool
    left: "Node"
    right: "Node"


Node = Union[Leaf, Split]  # noqa: UP007 (Split names it before it is defined)


def baseline(booster: Any) -> float:
    """Log-odds that a fitted binary HistGradientBoostingClassifier begins with."""
    return float(booster._baseline_prediction.ravel()[0])  # noqa: SLF001 (the contract tests hold it)


def roots(booster: Any) -> Iterator[Node]:
    """Yield the root of each tree of a fitted binary HistGradientBoostingClassifier without categorical features."""
    for (tree,) in booster._predictors:  # noqa: SLF001 (the contract tests hold it)
        yield _node(tree.nodes, 0)


def _node(nodes: "NDArray[Any]", number: int) -> Node:
    node = nodes[number]
    if node["is_leaf"]:
        return Leaf(float(node["value"]))
    return Split(
        feature=int(node["feature_idx"]),
        threshold=float(node["num_threshold"]),
        missing_goes_left=bool(node["missing_go_to_left"]),
        left=_node(nodes, int(node["left"])),
        right=_node(nodes, int(node["right"])),
    )
