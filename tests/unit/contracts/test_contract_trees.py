"""scikit-learn: the trees of its boosting, walked as `ml.churn.trees` reads them, give its own log-odds."""

import numpy as np
import pytest
from libraries import SCIKIT_LEARN
from sklearn.ensemble import HistGradientBoostingClassifier

from ml.churn.trees import Leaf, Node, baseline, roots


@pytest.fixture(scope="module")
def fitted() -> tuple[HistGradientBoostingClassifier, np.ndarray]:
    """A booster and its rows; some values are missing, so that both kinds of splits are used."""
    random = np.random.default_rng(7)
    rows = random.normal(size=(600, 3))
    labels = (rows[:, 0] + 0.5 * rows[:, 1] ** 2 + random.normal(scale=0.5, size=600) > 0.5).astype(int)
    rows[random.random(rows.shape) < 0.15] = np.nan
    return HistGradientBoostingClassifier(max_iter=12, max_depth=4, random_state=0).fit(rows, labels), rows


def walk(node: Node, row: np.ndarray) -> float:
    while not isinstance(node, Leaf):
        value = row[node.feature]
        left = node.missing_goes_left if np.isnan(value) else value <= node.threshold
        node = node.left if left else node.right
    return node.value


def test_leaves_and_baseline_add_up_to_the_librarys_log_odds(fitted) -> None:
    booster, rows = fitted
    with SCIKIT_LEARN.contract("one tree per iteration; its nodes and the baseline add up to the decision function"):
        trees = list(roots(booster))
        assert len(trees) == booster.n_iter_
        ours = [baseline(booster) + sum(walk(tree, row) for tree in trees) for row in rows]
        assert np.abs(np.array(ours) - booster.decision_function(rows)).max() < 1e-10


def test_nodes_without_a_field_break_the_contract(fitted, monkeypatch) -> None:
    booster, _ = fitted
    (tree,) = booster._predictors[0]
    monkeypatch.setattr(booster, "_predictors", [[type("Tree", (), {"nodes": tree.nodes[["value", "left", "right"]]})]])
    with pytest.raises(AssertionError, match="look at ml/churn/trees"), SCIKIT_LEARN.contract("fields of a node"):
        list(roots(booster))
