from itertools import combinations
from math import factorial

import numpy as np
import pytest

from ml.churn.features import FEATURE_NAMES, GROUP_OF_FEATURE, GROUPS, INDICATORS, TRAITS
from ml.churn.model import KINDS, ChurnModel, score
from ml.churn.reasons import _shares, reasons

GROUP = np.array(GROUP_OF_FEATURE)


def fitted(rows, kind):
    labels = rows["churned"]
    return ChurnModel(kind=kind).fit(rows, labels, later_features=rows, later_churned=labels)


@pytest.fixture(scope="module", params=KINDS)
def model(request, short_history):
    return fitted(short_history, request.param)


def logit(model, values):
    """Calibrated log-odds by the public interface of scikit-learn, values of shape (rows, features)."""
    probability = model.calibrated_.predict_proba(values)
    return np.log(probability[:, 1] / probability[:, 0])


def enumerated(model, row, background):
    """Compute the Shapley values by their definition: all coalitions of groups, all rows of the background."""
    players = range(len(GROUPS))
    coalitions = [set(found) for size in range(len(GROUPS) + 1) for found in combinations(players, size)]
    mixed = np.concatenate([np.where(np.isin(GROUP, list(coalition)), row, background) for coalition in coalitions])
    payoff = dict(
        zip(map(frozenset, coalitions), logit(model, mixed).reshape(len(coalitions), len(background)).mean(axis=1), strict=True)
    )
    values = np.zeros(len(GROUPS))
    for coalition in coalitions:
        weight = factorial(len(coalition)) * factorial(len(GROUPS) - len(coalition) - 1) if len(coalition) < len(GROUPS) else 0
        for player in set(players) - coalition:
            gain = payoff[frozenset(coalition | {player})] - payoff[frozenset(coalition)]
            values[player] += weight / factorial(len(GROUPS)) * gain
    return payoff[frozenset()], values


def test_base_and_contributions_add_up_to_the_log_odds(model, short_history):
    found = reasons(model, short_history)
    probability = model.predict_proba(short_history)
    assert found.contributions.shape == (len(short_history), len(GROUPS))
    assert found.base + found.contributions.sum(axis=1) == pytest.approx(np.log(probability[:, 1] / probability[:, 0]), abs=1e-8)


def test_contributions_are_the_shapley_values_of_the_definition(short_history):
    """The logistic regression's too, when the whole fit is the background."""
    for kind in KINDS:
        model = fitted(short_history, kind)
        rows = short_history.iloc[[3, 2500]]
        background = model.background_ if kind == "boosting" else model.values(short_history)[:300]
        if kind == "logistic":
            model = fitted(short_history.head(300), kind)
        found = reasons(model, rows)
        for position, row in enumerate(model.values(rows)):
            base, expected = enumerated(model, row, background)
            assert found.base == pytest.approx(base, abs=1e-8)
            assert found.contributions[position] == pytest.approx(expected, abs=1e-8)


def test_a_group_whose_features_are_constant_contributes_nothing(short_history):
    """And what was constant in the fit still says nothing when it is not any more."""
    tickets = [name for name, group in zip(FEATURE_NAMES, GROUP, strict=True) if GROUPS[group] == "support_tickets"]
    for kind in KINDS:
        model = fitted(short_history.assign(**dict.fromkeys(tickets, 3)), kind)
        found = reasons(model, short_history).contributions
        assert np.abs(found[:, GROUPS.index("support_tickets")]).max() < 1e-9
        assert np.abs(found[:, GROUPS.index("payment_issues")]).max() > 0.1


def test_groups_that_say_the_same_contribute_the_same(short_history):
    """Two groups of one equal feature each, all else constant: half of the whole each where the model treats them alike."""
    usage = short_history["usage_ratio"].fillna(0.5)
    same = {"unsolved_tickets": usage, "streak_days": usage}
    rows = short_history.assign(**{name: same.get(name, 1) for name in FEATURE_NAMES})
    found = reasons(fitted(rows, "logistic"), rows).contributions
    assert found[:, GROUPS.index("support_tickets")] == pytest.approx(found[:, GROUPS.index("engagement_score")], abs=1e-6)
    assert np.abs(found).max() > 0.1


def test_a_leaf_is_shared_symmetrically_among_groups():
    shares = _shares().reshape(*[2] * (2 * len(GROUPS)), len(GROUPS))
    # Bits run from the last group to the first on each side; exchanging the first two groups exchanges their shares alone.
    axes = list(range(2 * len(GROUPS)))
    for side in (len(GROUPS) - 1, 2 * len(GROUPS) - 1):
        axes[side], axes[side - 1] = axes[side - 1], axes[side]
    exchanged = shares.transpose(*axes, 2 * len(GROUPS))[..., [1, 0, *range(2, len(GROUPS))]]
    assert np.array_equal(exchanged, shares)


def test_a_leaf_that_is_reached_adds_what_it_is_worth():
    """By all groups of the account and none of the background it adds 1 in sum; the other way round it takes 1 away."""
    shares = _shares()
    assert shares[0, -1] == pytest.approx(np.full(len(GROUPS), 1 / len(GROUPS)))
    assert shares[-1, 0] == pytest.approx(np.full(len(GROUPS), -1 / len(GROUPS)))
    assert not shares[-1, -1].any()
    assert not shares[0, 0].any()


def test_scores_carry_the_contributions_of_the_six_indicators(model, short_history):
    rows = short_history.head(100)
    scored, found = score(model, rows), reasons(model, rows)
    assert TRAITS not in INDICATORS
    for position, indicator in enumerate(INDICATORS):
        assert scored[f"{indicator}_contribution"].tolist() == found.contributions[:, position].tolist()


def test_a_worse_account_is_worse_for_the_reason_planted(trained, boosted, history, nonlinear_history):
    late = history.head(500).assign(is_past_due=1, failed_payments_90d=3)
    fine = history.head(500).assign(is_past_due=0, failed_payments_90d=0)
    column = "payment_issues_contribution"
    assert (score(trained.model, late)[column] > score(trained.model, fine)[column] + 1).all()
    calm = nonlinear_history.head(500).assign(unsolved_tickets=0, days_to_renewal=200)
    near = calm.assign(days_to_renewal=30)
    column = "contract_proximity_contribution"
    assert (score(boosted.model, near)[column] > score(boosted.model, calm)[column] + 0.5).all()


def test_no_row_has_no_reasons(model, short_history):
    assert reasons(model, short_history.head(0)).contributions.shape == (0, len(GROUPS))
