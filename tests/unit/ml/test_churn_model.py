import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from threadpoolctl import threadpool_limits

from ml.churn.features import FEATURES, INDICATORS, FeatureError
from ml.churn.model import KINDS, ChurnModel, score, signed_log


def test_signed_log_is_odd_and_zero_at_zero():
    assert signed_log(np.array([0.0, np.e - 1, 1 - np.e])).tolist() == pytest.approx([0, 1, -1])


def test_scores_are_probabilities_by_key(small, short_history):
    scored = score(small.model, short_history)
    contributions = [f"{indicator}_contribution" for indicator in INDICATORS]
    assert list(scored.columns) == ["as_of_date", "account_id", "churn_probability", *contributions]
    assert (scored[contributions].std() > 0).all()
    assert len(scored) == len(short_history)
    assert scored["churn_probability"].between(0, 1).all()
    assert scored["churn_probability"].nunique() > 100


def test_the_order_of_rows_changes_no_score(small, short_history):
    shuffled = score(small.model, short_history.sample(frac=1, random_state=3))
    pd.testing.assert_frame_equal(shuffled, score(small.model, short_history), check_exact=True)


def test_a_single_row_scores_as_it_does_among_others(small, short_history):
    among = score(small.model, short_history).set_index(["as_of_date", "account_id"])["churn_probability"]
    row = short_history.iloc[[123]]
    alone = score(small.model, row)
    assert len(alone) == 1
    assert alone["churn_probability"][0] == pytest.approx(among[tuple(row[["as_of_date", "account_id"]].iloc[0])], abs=1e-12)


def test_no_row_gives_no_score(small, short_history):
    assert score(small.model, short_history.head(0)).empty


@pytest.mark.parametrize("null", [np.nan, None], ids=["float", "untyped"])
def test_an_account_of_which_nothing_optional_is_known_is_scored(small, short_history, null):
    rows = short_history.head(5).assign(**{feature.name: null for feature in FEATURES if feature.nullable})
    assert score(small.model, rows)["churn_probability"].between(0, 1, inclusive="neither").all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_null_unseen_in_training_and_a_feature_never_known_are_scored(short_history, kind):
    rows = short_history.assign(seats=np.nan, days_to_renewal=5)
    model = ChurnModel(kind=kind).fit(rows, rows["churned"], later_features=rows, later_churned=rows["churned"])
    assert score(model, short_history.head(200))["churn_probability"].between(0, 1).all()


@pytest.mark.parametrize("kind", KINDS)
def test_calibration_follows_the_later_rows(short_history, kind):
    """The mean prediction on the calibration rows is their rate, whatever the rate was in the rows of the fit."""
    early, late = short_history.iloc[:1600], short_history.iloc[1600:]
    twice = 1 - (1 - late["churned"]) * (np.arange(len(late)) % 5 > 0)
    model = ChurnModel(kind=kind).fit(early, early["churned"], later_features=late, later_churned=twice)
    assert model.predict_proba(late)[:, 1].mean() == pytest.approx(twice.mean(), abs=0.005)
    assert twice.mean() > 2 * early["churned"].mean()


def test_probabilities_of_both_outcomes_sum_to_one(small, short_history):
    assert small.model.predict_proba(short_history).sum(axis=1) == pytest.approx(1)


@pytest.mark.parametrize("l2", [0, -1, float("inf"), float("nan"), "1", True, None])
def test_a_penalty_out_of_range_is_refused(short_history, l2):
    with pytest.raises(ValueError, match="l2 must be a finite number above 0"):
        ChurnModel(l2=l2).fit(
            short_history,
            short_history["churned"],
            later_features=short_history,
            later_churned=short_history["churned"],
        )


@pytest.mark.parametrize("kind", ["forest", "", None])
def test_another_kind_is_refused(short_history, kind):
    labels = short_history["churned"]
    with pytest.raises(ValueError, match="kind must be one of logistic, boosting"):
        ChurnModel(kind=kind).fit(short_history, labels, later_features=short_history, later_churned=labels)


@pytest.mark.parametrize("kind", KINDS)
def test_one_thread_or_more_fit_the_same_model(short_history, kind):
    labels = short_history["churned"]
    fitted = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            model = ChurnModel(kind=kind).fit(short_history, labels, later_features=short_history, later_churned=labels)
            fitted.append(model.predict_proba(short_history))
    assert np.array_equal(*fitted)


def test_a_stronger_penalty_spreads_predictions_less(short_history):
    labels = short_history["churned"]
    spread = [
        np.ptp(
            ChurnModel(l2=l2)
            .fit(short_history, labels, later_features=short_history, later_churned=labels)
            .calibrated_.estimator.decision_function(short_history[[feature.name for feature in FEATURES]].to_numpy(float))
        )
        for l2 in (1.0, 1000.0)
    ]
    assert spread[1] < spread[0]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1] * 24 + [0, 2], "50 times 0 or 1"),
        ([0.0, 1.0] * 24 + [0.0, np.nan], "50 times 0 or 1"),
        ([0, 1], "50 times 0 or 1"),
        ([0] * 50, "one kind has 0"),
        ([0] * 49 + [1], "one kind has 1"),
    ],
)
def test_labels_of_which_nothing_can_be_learnt_are_refused(short_history, labels, message):
    rows, good = short_history.head(50), [0, 1] * 25
    with pytest.raises(ValueError, match=f"fitted rows.*{message}"):
        ChurnModel().fit(rows, labels, later_features=rows, later_churned=good)
    with pytest.raises(ValueError, match=f"calibration rows.*{message}"):
        ChurnModel().fit(rows, good, later_features=rows, later_churned=labels)


def test_a_model_without_a_fit_does_not_score(short_history):
    with pytest.raises(NotFittedError):
        score(ChurnModel(), short_history)


def test_a_model_of_another_schema_does_not_score(small, short_history):
    model = clone(small.model)
    model.calibrated_, model.feature_names_in_ = small.model.calibrated_, ["logins", *small.model.feature_names_in_[1:]]
    with pytest.raises(FeatureError, match=r"another schema.*'events_7d', 'logins'"):
        score(model, short_history)


def test_scoring_refuses_a_frame_off_the_schema(small, short_history):
    with pytest.raises(FeatureError, match="'mrr_usd' is missing"):
        score(small.model, short_history.drop(columns="mrr_usd"))
    with pytest.raises(FeatureError, match="repeat a key"):
        score(small.model, pd.concat([short_history, short_history.tail(1)]))


def test_parameters_are_those_of_an_estimator():
    assert ChurnModel(kind="boosting", l2=3.0).get_params() == {"kind": "boosting", "l2": 3.0}
    assert clone(ChurnModel(l2=3.0)).l2 == 3.0
