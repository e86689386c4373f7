from itertools import pairwise

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from ml.churn.evaluation import (
    Intervention,
    Money,
    Ranking,
    evaluate,
    gain_interval,
    judge_calibration,
    judge_ranking,
    log_losses,
    money_saved,
)


@pytest.fixture(scope="module")
def predicted():
    draw = np.random.default_rng(5)
    logit = draw.normal(-2, 1, 20_000)
    probability = 1 / (1 + np.exp(-logit))
    return draw.binomial(1, probability), probability, logit


def test_figures_agree_with_scikit_learn(predicted):
    churned, probability, logit = predicted
    metrics = evaluate(churned, probability)
    assert metrics.log_loss == pytest.approx(log_loss(churned, probability), rel=1e-12)
    assert metrics.brier == pytest.approx(brier_score_loss(churned, probability), rel=1e-12)
    recalibrated = LogisticRegression(C=np.inf, tol=1e-10).fit(logit[:, None], churned)
    assert metrics.calibration_slope == pytest.approx(recalibrated.coef_[0, 0], rel=1e-4)


def test_true_probabilities_are_calibrated(predicted):
    churned, probability, _ = predicted
    metrics = evaluate(churned, probability)
    assert metrics.calibration_slope == pytest.approx(1, abs=0.06)
    assert metrics.calibration_intercept == pytest.approx(0, abs=0.06)


def test_overconfidence_and_underestimation_show(predicted):
    churned, _, logit = predicted
    assert evaluate(churned, 1 / (1 + np.exp(-2 * logit))).calibration_slope == pytest.approx(0.5, abs=0.03)
    assert evaluate(churned, 1 / (1 + np.exp(1 - logit))).calibration_intercept == pytest.approx(1, abs=0.06)


def test_calibration_is_off_for_probabilities_that_are_not_true(predicted):
    churned, probability, logit = predicted
    accounts = np.arange(len(churned)).astype(str)
    sound = judge_calibration(churned, probability, accounts)
    metrics = evaluate(churned, probability)
    assert (sound.intercept, sound.slope) == (metrics.calibration_intercept, metrics.calibration_slope)
    assert sound.p_value > 0.01
    # Too high and too far apart; the latter about their mean, so that nothing is left for an intercept to say.
    flat = 1 / (1 + np.exp(-(logit + 0.3 * (logit - logit.mean()))))
    for wrong in (np.minimum(2 * probability, 1), probability / 2, flat):
        assert judge_calibration(churned, wrong, accounts).p_value < 1e-6


def test_true_probabilities_are_called_off_as_often_as_the_level_says():
    draw = np.random.default_rng(8)
    probability = 1 / (1 + np.exp(-draw.normal(-2, 1, 400)))
    accounts = np.arange(400).astype(str)
    found = np.array([judge_calibration(draw.binomial(1, probability), probability, accounts).p_value for _ in range(300)])
    assert (found < 0.2).mean() == pytest.approx(0.2, abs=0.07)
    assert (found < 0.05).mean() == pytest.approx(0.05, abs=0.04)


def test_an_account_counts_once_in_the_calibration_however_many_dates_it_stands_in(predicted):
    churned, probability, _ = (column[:500] for column in predicted)
    accounts, wrong = np.arange(500).astype(str), probability**0.8
    once = judge_calibration(churned, wrong, accounts)
    repeated = judge_calibration(*(np.tile(column, 5) for column in (churned, wrong, accounts)))
    assert repeated.p_value == pytest.approx(once.p_value)
    as_if_others = judge_calibration(np.tile(churned, 5), np.tile(wrong, 5), np.arange(2500).astype(str))
    assert as_if_others.p_value < once.p_value / 10


def test_the_calibration_of_a_constant_is_that_of_its_height():
    churned, accounts = np.repeat([1, 0], [50, 450]), np.arange(500).astype(str)
    right, wrong = (judge_calibration(churned, np.full(500, rate), accounts) for rate in (0.1, 0.2))
    assert (right.slope, wrong.slope) == (None, None)
    assert right.p_value == pytest.approx(1)
    # 50 of an expected 100 with a variance of 80: the normal distribution's two tails beyond 5.59 deviations.
    assert wrong.p_value == pytest.approx(2.27e-8, rel=0.01)


def test_certain_predictions_are_calibrated_when_they_come_true_and_only_then():
    churned, accounts = np.repeat([1, 0], [50, 450]), np.arange(500).astype(str)
    assert judge_calibration(churned, churned.astype(float), accounts).p_value == pytest.approx(1)
    assert judge_calibration(churned, np.zeros(500), accounts).p_value == 0


def test_chance_is_called_a_ranking_as_often_as_the_level_says():
    """Churns of 200 accounts on three dates, alike on all of them, and probabilities that foretell nothing, then a little."""
    draw = np.random.default_rng(8)
    accounts = np.tile(np.arange(200).astype(str), 3)
    p_values = {0.0: [], 1.5: []}
    for weight, found in p_values.items():
        for _ in range(400):
            risk = draw.normal(size=200)
            left = draw.random(200) < 1 / (1 + np.exp(2.5 - weight * risk))
            probability = 1 / (1 + np.exp(-np.tile(risk, 3) - draw.normal(0, 0.5, 600)))
            found.append(judge_ranking(np.tile(left, 3).astype(int), probability, accounts).p_value)
    # The standard error of a share of 5 % is 1.1 points.
    assert 0.02 < np.mean(np.array(p_values[0.0]) < 0.05) < 0.085
    assert np.mean(np.array(p_values[0.0]) < 0.01) < 0.03
    assert np.mean(np.array(p_values[1.5]) < 0.01) > 0.95


def test_a_ranking_is_the_auc_and_an_account_counts_once_in_its_error(predicted):
    churned, probability = (column[:1_000] for column in predicted[:2])
    accounts = np.arange(len(churned)).astype(str)
    once = judge_ranking(churned, probability, accounts)
    assert once.auc == pytest.approx(roc_auc_score(churned, probability))
    left, stayed = probability[churned == 1], probability[churned == 0]
    beaten = (left[:, None] > stayed[None, :]).astype(float) + 0.5 * (left[:, None] == stayed[None, :])
    # DeLong's variance is the one of rows that share no account.
    assert once.standard_error == pytest.approx(
        np.sqrt(beaten.mean(axis=1).var(ddof=1) / len(left) + beaten.mean(axis=0).var(ddof=1) / len(stayed))
    )
    repeated = judge_ranking(*(np.tile(column, 5) for column in (churned, probability, accounts)))
    assert repeated.standard_error == pytest.approx(once.standard_error)
    as_if_others = judge_ranking(np.tile(churned, 5), np.tile(probability, 5), np.arange(5 * len(churned)).astype(str))
    assert as_if_others.standard_error == pytest.approx(once.standard_error / np.sqrt(5), rel=0.01)


def test_a_ranking_of_one_kind_one_account_or_a_constant_is_no_proof():
    four = np.array(["a", "b", "c", "d"], dtype=object)
    assert judge_ranking(np.zeros(4, int), np.full(4, 0.1), four) == Ranking(None, None, 1.0)
    assert judge_ranking(np.array([1, 0, 0, 0]), np.array([0.9, 0.1, 0.2, 0.3]), four) == Ranking(1.0, None, 1.0)
    assert judge_ranking(np.array([1, 1, 0, 0]), np.full(4, 0.1), four) == Ranking(0.5, 0.0, 1.0)
    assert judge_ranking(np.array([1, 1, 0, 0]), np.array([0.9, 0.8, 0.1, 0.2]), four) == Ranking(1.0, 0.0, 0.0)


def test_bins_are_tenths_that_hold_all_rows(predicted):
    churned, probability, _ = predicted
    bins = evaluate(churned, probability).bins
    assert [each.rows for each in bins] == [2000] * 10
    assert sum(each.rows * each.churn_rate for each in bins) == pytest.approx(churned.sum())
    assert all(low.probability_max <= high.probability_min for low, high in pairwise(bins))


def test_a_constant_prediction_has_one_bin_no_slope_and_no_lift():
    churned = np.array([1, 0, 0, 0] * 10)
    metrics = evaluate(churned, np.full(40, 0.25))
    assert (metrics.auc, metrics.calibration_slope, metrics.top_decile_lift, len(metrics.bins)) == (0.5, None, 1.0, 1)
    assert metrics.calibration_intercept == pytest.approx(0, abs=1e-9)


def test_lift_is_that_of_the_highest_tenth():
    churned = np.repeat([0, 1, 0, 1], [80, 10, 5, 5])
    probability = np.repeat([0.1, 0.2, 0.3, 0.4], [80, 10, 5, 5])
    assert evaluate(churned, probability).top_decile_lift == pytest.approx((5 / 10) / (15 / 100))


def test_the_lift_of_each_tenth_counts_all_churns_at_the_end(predicted):
    churned, probability, _ = predicted
    lift = evaluate(churned, probability).lift
    order = np.argsort(-probability)
    for tenth, each in enumerate(lift, start=1):
        found = churned[order[: tenth * 2000]].sum() / churned.sum()
        assert (each.share, each.found) == pytest.approx((tenth / 10, found))
        assert each.lift == pytest.approx(each.found / each.share)
    assert evaluate(churned, probability).top_decile_lift == lift[0].lift


def test_money_is_that_of_the_tenth_with_the_most_at_stake():
    """Of 20 accounts two are contacted: not the surest churn, which pays little, but those with the highest probability × MRR."""
    churned, probability, mrr = np.zeros(20, dtype=int), np.full(20, 0.1), np.full(20, 100.0)
    probability[:3], mrr[:3], churned[:3] = (0.9, 0.5, 0.3), (10.0, 1000.0, 2000.0), (1, 1, 0)
    money = money_saved(churned, probability, mrr, Intervention(cost_usd=30.0, success_rate=0.25))
    assert money == Money(20, 2, 1, mrr_lost_usd=1010.0, mrr_saved_usd=250.0, cost_usd=60.0, net_usd=190.0)
    assert sum([money, money], Money.nothing()) == Money(40, 4, 2, 2020.0, 500.0, 120.0, 380.0)


def test_an_intervention_that_never_helps_only_costs():
    churned, half = np.array([1, 0, 1, 0]), np.full(4, 0.5)
    assert money_saved(churned, half, 100 * half, Intervention(50.0, 0.0)).net_usd == -50.0
    assert money_saved(churned, half, 100 * half, Intervention(0.0, 1.0)).net_usd == 50.0


@pytest.mark.parametrize(
    ("cost", "rate"), [(-1, 0.2), (float("inf"), 0.2), (float("nan"), 0.2), (50, -0.1), (50, 1.1), (50, float("nan"))]
)
def test_an_intervention_out_of_range_is_refused(cost, rate):
    with pytest.raises(ValueError, match="intervention_"):
        Intervention(cost, rate)


def test_what_is_not_defined_is_none():
    metrics = evaluate(np.zeros(20, dtype=int), np.linspace(0.1, 0.2, 20))
    assert (metrics.auc, metrics.average_precision, metrics.calibration_slope) == (None, None, None)
    assert (metrics.calibration_intercept, metrics.top_decile_lift, metrics.lift) == (None, None, ())
    separated = evaluate(np.repeat([0, 1], 10), np.repeat([0.2, 0.8], 10))
    assert separated.calibration_slope is None
    assert separated.auc == 1


def test_a_certain_prediction_that_fails_costs_a_finite_amount():
    assert log_losses(np.array([1, 0]), np.array([0.0, 0.0])).tolist() == pytest.approx([34.54, 0], abs=0.01)


@pytest.mark.parametrize("probability", [[0.5], [0.5, 1.1], [0.5, np.nan], [-0.1, 0.5]])
def test_what_is_no_probability_is_refused(probability):
    with pytest.raises(ValueError, match="evaluate"):
        evaluate(np.array([0, 1]), np.array(probability))


def test_the_interval_widens_when_rows_share_accounts():
    """Ten equal rows of an account carry what one row carries."""
    gains = np.random.default_rng(1).normal(0.1, 1, 500)
    accounts = np.arange(500).astype(str)
    low, high = gain_interval(gains, accounts, seed=0)
    assert low < gains.mean() < high
    assert high - low == pytest.approx(2 * 1.645 / np.sqrt(500), rel=0.15)
    shared = gain_interval(np.repeat(gains, 10), np.repeat(accounts, 10), seed=0)
    assert shared == pytest.approx((low, high))
    assert gain_interval(gains, accounts, seed=0) == (low, high)
