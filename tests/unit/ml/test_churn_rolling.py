from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from ml.churn.evaluation import Intervention, Money
from ml.churn.model import ChurnModel
from ml.churn.rolling import rolling_origin

PARAMETERS = {
    "kind": "logistic",
    "l2": 100.0,
    "label_window_days": 30,
    "minimum_churns": 20,
    "intervention": Intervention(cost_usd=5.0, success_rate=0.5),
}


@pytest.fixture(scope="module")
def rolled(short_history):
    return rolling_origin(short_history, **PARAMETERS)


def test_windows_lie_end_to_end_and_nothing_of_them_is_taught(rolled, short_history):
    assert 2 <= len(rolled.origins) <= 4
    assert rolled.origins[0].window_to == short_history["as_of_date"].max().date()
    for origin in rolled.origins:
        fit, calibration = origin.taught
        assert calibration.dates[-1] + timedelta(days=30) <= origin.window_from
        assert fit.dates[-1] + timedelta(days=30) <= calibration.dates[0]
        assert (origin.window_to - origin.window_from).days < 30
    for newer, older in zip(rolled.origins, rolled.origins[1:], strict=False):
        assert older.window_to < newer.window_from


def test_each_origin_is_the_training_of_that_day(rolled, short_history):
    """What came after an origin's window, removed, changes none of its figures; and they are those of a model fitted by hand."""
    origin = rolled.origins[1]
    known = short_history.loc[short_history["as_of_date"] <= np.datetime64(origin.window_to)]
    assert rolling_origin(known, **PARAMETERS, at_most=1).origins == (origin,)
    fit, calibration, judged = (
        known.loc[known["as_of_date"].between(*map(np.datetime64, days))]
        for days in (
            *((part.dates[0], part.dates[-1]) for part in origin.taught),
            (origin.window_from, origin.window_to),
        )
    )
    model = ChurnModel().fit(fit, fit["churned"], later_features=calibration, later_churned=calibration["churned"])
    predicted = model.predict_proba(judged)[:, 1]
    assert origin.metrics.log_loss == pytest.approx(log_loss(judged["churned"], predicted), rel=1e-12)
    assert origin.base_rate_log_loss == pytest.approx(log_loss(judged["churned"], np.full(len(judged), fit["churned"].mean())))
    assert origin.metrics.auc == pytest.approx(roc_auc_score(judged["churned"], predicted))


def test_pooled_figures_hold_the_rows_of_all_windows(rolled):
    pooled, origins = rolled.pooled, rolled.origins
    rows = [origin.metrics.rows for origin in origins]
    assert (pooled.metrics.rows, pooled.metrics.churned) == (sum(rows), sum(origin.metrics.churned for origin in origins))
    for figure in ("log_loss", "brier"):
        mean = np.average([getattr(origin.metrics, figure) for origin in origins], weights=rows)
        assert getattr(pooled.metrics, figure) == pytest.approx(mean)
    assert pooled.base_rate_log_loss == pytest.approx(np.average([each.base_rate_log_loss for each in origins], weights=rows))
    assert pooled.money == sum((origin.money for origin in origins), Money.nothing())


def test_a_churn_is_paid_once_though_it_stands_in_every_date_of_its_window(short_history):
    """The same rows four times within a window, 8 days apart each: the money is that of the window's first date."""
    frames = [short_history.assign(as_of_date=short_history["as_of_date"] + np.timedelta64(8 * later, "D")) for later in range(4)]
    repeated = short_history.iloc[:0]
    repeated = type(repeated)(np.concatenate([frame.to_numpy() for frame in frames]), columns=short_history.columns)
    repeated = repeated.astype(short_history.dtypes).sort_values(["as_of_date", "account_id"], ignore_index=True)
    newest = rolling_origin(repeated, **PARAMETERS, at_most=1).origins[0]
    assert newest.metrics.rows == 4 * newest.money.accounts
    month = short_history.loc[short_history["as_of_date"] == np.datetime64(newest.window_from)]
    assert newest.money.mrr_lost_usd == pytest.approx(month.loc[month["churned"] == 1, "mrr_usd"].sum())
    assert newest.money.contacted == len(month) // 10


def test_the_number_of_origins_is_bounded_by_wish_and_by_history(short_history):
    assert len(rolling_origin(short_history, **PARAMETERS, at_most=1).origins) == 1
    assert rolling_origin(short_history, **PARAMETERS, at_most=0).pooled is None
    young = short_history.loc[short_history["as_of_date"] < "2024-03-01"]
    assert rolling_origin(young, **PARAMETERS) == replace(rolling_origin(young, **PARAMETERS), origins=(), pooled=None)
