from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from ml.churn.evaluation import Calibration, Intervention, Ranking, judge_calibration, judge_ranking, log_losses
from ml.churn.features import FeatureError
from ml.churn.model import ChurnModel
from ml.churn.slices import NotEnoughHistory, rows
from ml.churn.training import SuspiciousFeatures, decide, suspicious_features, train


def test_the_model_finds_nearly_all_of_a_known_hazard(trained, history):
    test = history.loc[history["as_of_date"] >= np.datetime64(trained.slices[2].dates[0])]
    assert trained.metrics.rows == len(test)
    assert trained.metrics.auc >= 0.97 * roc_auc_score(test["churned"], test["hazard"])
    assert 0.85 <= trained.metrics.calibration_slope <= 1.15
    assert abs(trained.metrics.calibration_intercept) < 0.15
    predicted = trained.model.predict_proba(test)[:, 1]
    assert np.corrcoef(predicted, test["hazard"])[0, 1] > 0.95


def test_a_model_that_found_the_hazard_is_accepted_with_its_figures(trained):
    assert trained.decision.accepted
    assert trained.decision.log_loss == trained.metrics.log_loss < trained.baselines["base_rate"].log_loss
    assert trained.metrics.log_loss < trained.baselines["usage_rule"].log_loss < trained.baselines["base_rate"].log_loss
    low, high = trained.log_loss_gain_interval
    assert 0 < low < trained.log_loss_gain < high
    assert trained.metrics.top_decile_lift > 1.5


def test_where_there_is_no_pattern_the_model_is_no_better_than_the_rate(patternless_history):
    result = train(patternless_history, origins=0)
    assert abs(result.log_loss_gain) < 0.002
    assert result.log_loss_gain_interval[0] < 0
    assert result.metrics.auc == pytest.approx(0.5, abs=0.06)
    assert result.metrics.probability_mean == pytest.approx(0.08, abs=0.015)
    assert not result.decision.accepted
    assert "refused: not below base_rate" in result.decision.reason
    assert f"{result.metrics.log_loss:.5f}" in result.decision.reason


def test_the_base_rate_is_that_of_the_fit_slice(small):
    fit = small.slices[0]
    assert small.baselines["base_rate"].probability_mean == pytest.approx(fit.churned_rows / fit.rows)


def test_the_order_of_rows_changes_nothing(small, short_history):
    shuffled = train(short_history.sample(frac=1, random_state=2), minimum_churns=20, origins=2)
    assert np.array_equal(shuffled.model.predict_proba(short_history), small.model.predict_proba(short_history))
    for figure in ("metrics", "slices", "choice", "log_loss_gain_interval", "rolling", "reference"):
        assert getattr(shuffled, figure) == getattr(small, figure)


def test_the_test_slice_teaches_nothing(small, short_history):
    """Other labels on the test dates change the figures, never the model."""
    turned = short_history.copy()
    newest = turned["as_of_date"] >= np.datetime64(small.slices[2].dates[0])
    turned.loc[newest, "churned"] = 1 - turned.loc[newest, "churned"]
    other = train(turned, minimum_churns=20, origins=0)
    assert other.slices[2].dates == small.slices[2].dates
    assert np.array_equal(other.model.predict_proba(short_history), small.model.predict_proba(short_history))
    assert other.metrics.log_loss > small.metrics.log_loss
    assert not other.decision.accepted


def test_rows_whose_label_is_open_are_counted_and_not_used(small, short_history):
    closed = short_history.assign(churned=short_history["churned"].astype("Int64"))
    open_rows = closed.tail(400).assign(as_of_date=pd.Timestamp("2025-01-01"), churned=pd.array([None] * 400, dtype="Int64"))
    result = train(pd.concat([closed, open_rows]), minimum_churns=20, origins=0)
    assert (small.open_rows, result.open_rows) == (0, 400)
    assert (result.slices, result.metrics) == (small.slices, small.metrics)


def test_a_champion_must_be_beaten_too(small, short_history):
    again = train(short_history, minimum_churns=20, origins=0, champion=small.model)
    assert not again.decision.accepted
    assert again.decision.rivals["champion"] == small.metrics.log_loss
    assert "not below champion" in again.decision.reason
    turned = 1 - short_history["churned"]
    poor = ChurnModel().fit(short_history, turned, later_features=short_history, later_churned=turned)
    assert train(short_history, minimum_churns=20, origins=0, champion=poor).decision.accepted


CALIBRATED = Calibration(intercept=0.0, slope=1.0, p_value=1.0)
RANKED = Ranking(auc=0.8, standard_error=0.05, p_value=1e-9)


def test_a_tie_or_no_figure_is_refused():
    assert decide(0.1, {"base_rate": 0.2}, CALIBRATED, RANKED).accepted
    assert not decide(0.2, {"base_rate": 0.2}, CALIBRATED, RANKED).accepted
    assert not decide(float("nan"), {"base_rate": 0.2}, CALIBRATED, RANKED).accepted
    assert not decide(0.1, {"base_rate": 0.2, "champion": 0.05}, CALIBRATED, RANKED).accepted


@pytest.mark.parametrize(("p_value", "is_accepted"), [(0.0099, True), (0.01, False), (float("nan"), False)])
def test_a_ranking_that_chance_explains_is_refused(p_value, is_accepted):
    found = Ranking(0.61, 0.05, p_value)
    decision = decide(0.1, {"base_rate": 0.2}, CALIBRATED, found)
    assert decision.accepted == is_accepted
    assert decision.reason.startswith("refused: churns are not ranked beyond chance; ") != is_accepted
    assert "AUC 0.610, p " in decision.reason
    assert decision.ranking == found


def test_chance_that_has_the_lower_log_loss_is_refused(short_history):
    """Churns that nothing foretells, drawn so that the model has the lower log-loss: it tells nobody apart for that."""
    luck = short_history.assign(churned=np.random.default_rng(2).binomial(1, 0.08, len(short_history)))
    decision = train(luck, minimum_churns=20, origins=0).decision
    assert all(decision.log_loss < theirs for theirs in decision.rivals.values())
    assert decision.reason.startswith("refused: churns are not ranked beyond chance; ")


@pytest.mark.parametrize(
    ("intercept", "slope", "p_value", "is_accepted"),
    [
        (0.0, 1.0, 0.9, True),
        # Far, but chance does that; beyond chance, but too little to matter.
        (-0.7, 0.5, 0.01, True),
        (-0.2, 1.2, 1e-9, True),
        (0.201, 1.0, 0.0099, False),
        (-0.201, 1.0, 0.0099, False),
        (0.0, 0.799, 0.0099, False),
        (0.0, 1.201, 0.0099, False),
        # A constant has no slope, and what is not finite is no proof.
        (0.0, None, 1e-9, True),
        (0.5, None, 1e-9, False),
        (0.5, 1.0, float("nan"), False),
    ],
)
def test_a_calibration_that_is_off_beyond_chance_and_by_much_is_refused(intercept, slope, p_value, is_accepted):
    found = Calibration(intercept, slope, p_value)
    decision = decide(0.1, {"base_rate": 0.2}, found, RANKED)
    assert decision.accepted == is_accepted
    assert ("refused: calibration is off" in decision.reason) != is_accepted
    assert f"calibration intercept {intercept:.3f}" in decision.reason
    assert decision.calibration == found


def test_probabilities_that_are_doubled_are_refused_by_name_of_calibration(trained, history):
    """Those of a model that was accepted, and is again as it is."""
    test = rows(history, trained.slices[2])
    accounts, churned = test["account_id"].to_numpy(dtype=object), test["churned"].to_numpy()
    predicted = trained.model.predict_proba(test)[:, 1]
    doubled = np.minimum(2 * predicted, 1)
    ranking = judge_ranking(churned, predicted, accounts)
    calibration = judge_calibration(churned, doubled, accounts)
    decision = decide(log_losses(churned, doubled).mean(), trained.decision.rivals, calibration, ranking)
    assert not decision.accepted
    assert "calibration is off" in decision.reason
    calibration = judge_calibration(churned, predicted, accounts)
    assert decide(trained.metrics.log_loss, trained.decision.rivals, calibration, ranking).accepted


def test_a_model_of_a_rate_that_holds_no_more_is_refused_though_its_log_loss_is_lower(short_history, small):
    """Most of the churns of the test dates did not come: the model still tells accounts apart better than any rate does."""
    assert small.decision.accepted
    newest = short_history["as_of_date"] >= np.datetime64(small.slices[2].dates[0])
    stayed = newest & (np.random.default_rng(1).random(len(short_history)) < 0.7)
    fewer = short_history.assign(churned=short_history["churned"].where(~stayed, 0))
    result = train(fewer, minimum_churns=5, origins=0)
    assert all(result.metrics.log_loss < theirs for theirs in result.decision.rivals.values())
    assert "calibration is off; " in result.decision.reason
    assert result.decision.calibration.intercept < -0.7


def test_a_linear_hazard_chooses_the_logistic_regression(trained):
    assert trained.choice.kind == trained.model.kind == "logistic"
    figures = trained.choice.figures
    assert figures["logistic"].log_loss <= figures["boosting"].log_loss
    assert trained.choice.reason.startswith("the lowest log-loss on the choice slice")


def test_a_hazard_that_is_no_sum_chooses_boosting(boosted, nonlinear_history):
    assert boosted.choice.kind == boosted.model.kind == "boosting"
    assert boosted.choice.figures["boosting"].log_loss < 0.95 * boosted.choice.figures["logistic"].log_loss
    test = rows(nonlinear_history, boosted.slices[2])
    assert boosted.metrics.auc >= 0.97 * roc_auc_score(test["churned"], test["hazard"])
    assert 0.85 <= boosted.metrics.calibration_slope <= 1.15
    assert boosted.decision.accepted


def test_choosing_costs_the_winner_no_recent_rows(trained):
    """It is fitted on all that lies a window ahead of the choice slice, and calibrated on that slice."""
    (fit, calibration, choice), (refit, recalibration, test) = trained.choice.slices, trained.slices
    assert [part.name for part in trained.choice.slices] == ["fit", "calibration", "choice"]
    assert recalibration.dates == choice.dates
    assert set(refit.dates) >= {*fit.dates, *calibration.dates}
    for earlier, later in pairwise((fit, calibration, choice, test)):
        assert (later.dates[0] - earlier.dates[-1]).days >= 30
    assert (choice.dates[0] - refit.dates[-1]).days >= 30


def test_too_little_history_to_choose_leaves_the_logistic_regression(short_history):
    result = train(short_history.loc[short_history["as_of_date"] < "2024-03-15"], minimum_churns=20)
    assert (result.model.kind, result.choice.slices, result.choice.figures) == ("logistic", (), {})
    assert "only candidate: not enough history" in result.choice.reason
    assert "four slices" in result.choice.reason
    assert [part.name for part in result.slices] == ["fit", "calibration", "test"]


@pytest.mark.parametrize("short", [False, True], ids=["choice", "calibration"])
def test_a_feature_that_knows_the_label_refuses_the_training_and_is_named(short_history, short):
    frame = short_history.loc[short_history["as_of_date"] < "2024-03-15"] if short else short_history
    noise = np.random.default_rng(3).random(len(frame)) < 0.02
    leaking = frame.assign(unsolved_tickets=np.where(noise, 0, 3 * frame["churned"]), seats=np.where(frame["churned"], 5, np.nan))
    with pytest.raises(SuspiciousFeatures, match=r"unsolved_tickets \(AUC [01]\.\d+\), seats \(AUC 1\.000\)$") as refused:
        train(leaking, minimum_churns=20)
    assert list(refused.value.found) == ["unsolved_tickets", "seats"]


def test_honest_features_are_not_suspected_and_either_direction_is(short_history):
    churned = short_history["churned"].to_numpy()
    assert suspicious_features(short_history, churned) == {}
    strongest = suspicious_features(short_history, churned, bound=0.6)
    assert strongest
    assert max(strongest.values()) < 0.8
    assert list(suspicious_features(short_history.assign(streak_days=-churned), churned)) == ["streak_days"]
    assert suspicious_features(short_history, np.zeros(len(short_history), dtype=int)) == {}


def test_a_young_installation_is_told_what_it_has(short_history):
    with pytest.raises(NotEnoughHistory, match="2 closed as-of dates") as young:
        train(short_history.loc[short_history["as_of_date"] < "2024-03-01"], minimum_churns=20)
    assert (young.value.closed_dates, young.value.minimum_churns) == (2, 20)
    assert [part.name for part in young.value.slices] == ["test", "calibration"]
    with pytest.raises(NotEnoughHistory, match="at least 5000 churned") as few:
        train(short_history, minimum_churns=5000)
    assert few.value.slices[0].churned_accounts == short_history.loc[short_history["churned"] == 1, "account_id"].nunique()
    with pytest.raises(NotEnoughHistory, match="0 closed as-of dates"):
        train(short_history.assign(churned=np.nan), minimum_churns=20)


def test_all_that_stay_or_all_that_churn_teach_nothing(short_history):
    for label in (0, 1):
        with pytest.raises(NotEnoughHistory):
            train(short_history.assign(churned=label), minimum_churns=2)


@pytest.mark.parametrize(
    "parameters",
    [
        {"label_window_days": 0},
        {"minimum_churns": 1},
        {"origins": -1},
    ],
)
def test_a_parameter_out_of_range_is_refused(short_history, parameters):
    with pytest.raises(ValueError, match=next(iter(parameters))):
        train(short_history, **parameters)


@pytest.mark.parametrize(("figures", "name"), [((-1.0, 0.2), "intervention_cost"), ((50.0, 1.1), "intervention_success_rate")])
def test_an_intervention_out_of_range_is_refused(figures, name):
    with pytest.raises(ValueError, match=name):
        Intervention(*figures)


def test_a_frame_off_the_schema_is_refused(short_history):
    with pytest.raises(FeatureError, match="'churned' is missing"):
        train(short_history.drop(columns="churned"))
    with pytest.raises(FeatureError, match="'churned' must be 0, 1 or NULL"):
        train(short_history.assign(churned=2))
    with pytest.raises(FeatureError, match="'events_7d' is missing"):
        train(short_history.drop(columns="events_7d"))
    with pytest.raises(FeatureError, match="repeat a key"):
        train(pd.concat([short_history, short_history.head(1)]))


def test_a_date_of_which_only_some_labels_are_known_is_refused(short_history):
    """Churns are known before the window has passed, stays only after: such a date would look far worse than it was."""
    newest = short_history["as_of_date"] == short_history["as_of_date"].max()
    early = short_history.assign(churned=short_history["churned"].astype(float).mask(newest & (short_history["churned"] == 0)))
    with pytest.raises(FeatureError, match="'churned' is NULL for some accounts of 2024-08-05"):
        train(early)
