from datetime import date
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from ml.churn.features import FeatureError
from ml.churn.model import ChurnModel
from ml.churn.training import NotEnoughHistory, decide, split, train


def labelled(days, *, accounts=6):
    """Half of the accounts churn on every date, so that only the dates decide how slices fall."""
    dates = np.datetime64("2024-01-01", "D") + np.array(sorted(days), dtype=int)
    return pd.DataFrame(
        {
            "as_of_date": np.repeat(dates, accounts).astype("datetime64[us]"),
            "account_id": [f"a{number}" for number in range(accounts)] * len(dates),
            "churned": [0, 1] * (accounts // 2) * len(dates),
        }
    )


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
    result = train(patternless_history)
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
    shuffled = train(short_history.sample(frac=1, random_state=2), minimum_churns=20)
    assert np.array_equal(shuffled.model.predict_proba(short_history), small.model.predict_proba(short_history))
    assert (shuffled.metrics, shuffled.slices, shuffled.log_loss_gain_interval) == (
        small.metrics,
        small.slices,
        small.log_loss_gain_interval,
    )


def test_the_test_slice_teaches_nothing(small, short_history):
    """Other labels on the test dates change the figures, never the model."""
    turned = short_history.copy()
    newest = turned["as_of_date"] >= np.datetime64(small.slices[2].dates[0])
    turned.loc[newest, "churned"] = 1 - turned.loc[newest, "churned"]
    other = train(turned, minimum_churns=20)
    assert other.slices[2].dates == small.slices[2].dates
    assert np.array_equal(other.model.predict_proba(short_history), small.model.predict_proba(short_history))
    assert other.metrics.log_loss > small.metrics.log_loss
    assert not other.decision.accepted


def test_rows_whose_label_is_open_are_counted_and_not_used(small, short_history):
    closed = short_history.assign(churned=short_history["churned"].astype("Int64"))
    open_rows = closed.tail(400).assign(as_of_date=pd.Timestamp("2025-01-01"), churned=pd.array([None] * 400, dtype="Int64"))
    result = train(pd.concat([closed, open_rows]), minimum_churns=20)
    assert (small.open_rows, result.open_rows) == (0, 400)
    assert (result.slices, result.metrics) == (small.slices, small.metrics)


def test_a_champion_must_be_beaten_too(small, short_history):
    again = train(short_history, minimum_churns=20, champion=small.model)
    assert not again.decision.accepted
    assert again.decision.rivals["champion"] == small.metrics.log_loss
    assert "not below champion" in again.decision.reason
    turned = 1 - short_history["churned"]
    poor = ChurnModel().fit(short_history, turned, later_features=short_history, later_churned=turned)
    assert train(short_history, minimum_churns=20, champion=poor).decision.accepted


def test_a_tie_or_no_figure_is_refused():
    assert decide(0.1, {"base_rate": 0.2}).accepted
    assert not decide(0.2, {"base_rate": 0.2}).accepted
    assert not decide(float("nan"), {"base_rate": 0.2}).accepted
    assert not decide(0.1, {"base_rate": 0.2, "champion": 0.05}).accepted


def expected_days(days, window):
    """Say which days each slice takes when every day holds enough, in plain lists; None when there are too few."""
    size = max(1, len(days) // 5)
    test = days[-size:]
    calibration = [day for day in days if test and day + window <= test[0]][-size:]
    fit = [day for day in days if calibration and day + window <= calibration[0]]
    return [fit, calibration, test] if fit else None


@settings(max_examples=50, deadline=None)
@given(days=st.sets(st.integers(0, 400), max_size=60), window=st.integers(1, 60), minimum=st.integers(2, 3))
def test_every_label_window_closes_before_the_next_slice_begins(days, window, minimum):
    frame, expected = labelled(days), expected_days(sorted(days), window)
    if expected is None:
        with pytest.raises(NotEnoughHistory, match=f"{len(days)} closed as-of dates"):
            split(frame, label_window_days=window, minimum_churns=minimum)
        return
    slices = split(frame, label_window_days=window, minimum_churns=minimum)
    for earlier, later in pairwise(slices):
        assert (later.dates[0] - earlier.dates[-1]).days >= window
    assert [[(day - date(2024, 1, 1)).days for day in part.dates] for part in slices] == expected
    assert [part.rows for part in slices] == [6 * len(part.dates) for part in slices]


def test_a_gap_of_exactly_one_window_is_enough_and_a_day_less_is_not():
    dates = [part.dates for part in split(labelled({0, 30, 60}), label_window_days=30, minimum_churns=3)]
    assert [len(each) for each in dates] == [1, 1, 1]
    with pytest.raises(NotEnoughHistory):
        split(labelled({0, 30, 59}), label_window_days=30, minimum_churns=3)


def test_the_later_slices_take_one_date_in_five():
    fit, calibration, test = split(labelled(range(0, 7 * 52, 7)), label_window_days=28, minimum_churns=3)
    assert (len(fit.dates), len(calibration.dates), len(test.dates)) == (26, 10, 10)


def test_a_slice_grows_until_it_holds_enough_churned_accounts():
    """One account churns on each date, another one each time, while the rest stay."""
    frame = labelled(range(0, 31 * 20, 31), accounts=40)
    date_number = frame["as_of_date"].rank(method="dense").astype(int)
    frame["churned"] = (frame["account_id"] == "a" + date_number.astype(str)).astype(int)
    fit, calibration, test = split(frame, label_window_days=30, minimum_churns=6)
    assert (fit.churned_accounts, calibration.churned_accounts, test.churned_accounts) == (8, 6, 6)


def test_an_account_counts_once_however_often_it_is_seen():
    frame = labelled(range(0, 7 * 52, 7), accounts=4)
    with pytest.raises(NotEnoughHistory, match="2 churned and 2 staying"):
        split(frame, label_window_days=28, minimum_churns=3)


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


@pytest.mark.parametrize("parameters", [{"label_window_days": 0}, {"minimum_churns": 1}])
def test_a_parameter_out_of_range_is_refused(short_history, parameters):
    with pytest.raises(ValueError, match=next(iter(parameters))):
        train(short_history, **parameters)


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
