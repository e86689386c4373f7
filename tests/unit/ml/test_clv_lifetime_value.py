from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from ml.clv.beta_geo_nbd import BetaGeoNBD
from ml.clv.inputs import ClvError, ConvergenceError, DegenerateDataError
from ml.clv.lifetime_value import (
    DAYS_PER_MONTH,
    CustomerLifetimeValue,
    predict_customers,
    predict_subscriptions,
    project_subscriptions,
)
from ml.clv.shifted_beta_geometric import ShiftedBetaGeometric
from tests.unit.ml.clv_customers import cdnow_customers, draw_customers, draw_lifetimes, draw_values

ORDERS = {"r": 0.6, "alpha": 40.0, "a": 0.9, "b": 3.0}
VALUES = {"p": 6.0, "q": 4.0, "v": 15.0}


def draw_shop(count, seed):
    frequency, recency, age = draw_customers(count, **ORDERS, seed=seed)
    return pd.DataFrame(
        {
            "person_id": [f"p{number:06d}" for number in range(count)],
            "frequency": frequency,
            "recency_days": recency,
            "age_days": age,
            "mean_repeat_value": draw_values(frequency, **VALUES, seed=seed + 1),
            "order_margin": np.where(np.arange(count) % 3 == 0, 0.25, 0.5),
            "channel": np.array(["ads", "search", None], dtype=object)[np.arange(count) % 3],
        }
    )


@pytest.fixture(scope="module")
def shop():
    return draw_shop(1500, seed=20)


@pytest.fixture(scope="module")
def fitted(shop):
    return CustomerLifetimeValue(monthly_discount_rate=0.02).fit(shop)


def subscriptions(plan, **counts):
    return draw_lifetimes(**counts).assign(plan=plan, monthly_margin=20.0)


@pytest.fixture(scope="module")
def plans():
    """A plan that fits, one whose churn is the same in each month, and one with a handful of customers."""
    constant = [1000, 900, 810, 729, 656]
    return pd.concat(
        [
            subscriptions("basic", count=2000, alpha=0.7, beta=2.2, ages=[3, 6, 12], seed=1),
            pd.DataFrame(
                {"period": range(1, 5), "lost": -np.diff(constant), "alive": [0, 0, 0, 656], "plan": "flat", "monthly_margin": 10}
            ),
            pd.DataFrame({"period": [1, 2], "lost": [3, 0], "alive": [0, 9], "plan": "rare", "monthly_margin": 50}),
        ],
        ignore_index=True,
    )


# Shop customers


def test_lifetime_value_by_hand(fitted, shop):
    """Month by month, customer by customer, as the equation says."""
    predicted = fitted.predict(shop).set_index("person_id")
    for row in shop.iloc[[0, 1, 7, 300]].to_dict("records"):
        history = [[row[name]] for name in ("frequency", "recency_days", "age_days")]
        orders = [fitted.purchases_.conditional_expected_purchases(month * DAYS_PER_MONTH, *history)[0] for month in range(37)]
        value = fitted.values_.conditional_expected_value([row["frequency"]], [row["mean_repeat_value"]])[0]
        for horizon in (12, 24, 36):
            by_hand = sum(row["order_margin"] * (orders[m] - orders[m - 1]) * value / 1.02**m for m in range(1, horizon + 1))
            assert predicted.loc[row["person_id"], f"predicted_ltv_{horizon}m"] == pytest.approx(by_hand)
        assert predicted.loc[row["person_id"], "expected_order_value"] == pytest.approx(value)


def test_each_customer_has_a_prediction(fitted, shop):
    predicted = fitted.predict(shop)
    assert list(predicted.columns) == [
        "person_id",
        "p_alive",
        "expected_orders_90d",
        "expected_orders_365d",
        "expected_order_value",
        "predicted_ltv_12m",
        "predicted_ltv_24m",
        "predicted_ltv_36m",
        "method",
    ]
    assert predicted["person_id"].tolist() == shop["person_id"].tolist()
    assert predicted.notna().all(axis=None)
    assert (predicted["p_alive"].to_numpy()[shop["frequency"] == 0] == 1).all()
    assert (predicted["expected_orders_90d"] < predicted["expected_orders_365d"]).all()
    assert (predicted["predicted_ltv_12m"] < predicted["predicted_ltv_24m"]).all()
    assert (predicted["predicted_ltv_24m"] < predicted["predicted_ltv_36m"]).all()
    assert set(predicted["method"]) == {"bg_nbd_gamma_gamma"}


def test_no_customer_gives_no_prediction(fitted, shop):
    assert fitted.predict(shop.head(0)).empty
    assert fitted.predict_mean(shop.head(0), ["channel"]).empty


def test_what_is_predicted_on_average_comes_true():
    """With the true parameters, against what drawn customers do in the 365 days to come, within four standard errors."""
    frequency, recency, age = draw_customers(30_000, **ORDERS, seed=30, ages=(200, 201))
    whole = draw_customers(30_000, **ORDERS, seed=31, ages=(565, 566))[0]
    model = BetaGeoNBD().at(**ORDERS)
    predicted = frequency + model.conditional_expected_purchases(365, frequency, recency, age)
    error = np.hypot(predicted.std(), whole.std()) / np.sqrt(30_000)
    assert abs(predicted.mean() - whole.mean()) < 4 * error


def test_the_order_of_customers_changes_no_byte(shop):
    few = shop.head(600)
    shuffled = predict_customers(few.sample(frac=1, random_state=3), monthly_discount_rate=0.02)
    pd.testing.assert_frame_equal(shuffled, predict_customers(few, monthly_discount_rate=0.02), check_exact=True)


def test_money_as_decimals_and_counts_as_nullable_integers_do(fitted, shop):
    """As a warehouse gives them: DECIMAL with None, and integers with a mask."""
    few = shop.head(50).assign(mean_repeat_value=shop["mean_repeat_value"].round(2))
    decimals = few.assign(
        mean_repeat_value=[None if np.isnan(value) else Decimal(f"{value:.2f}") for value in few["mean_repeat_value"]],
        frequency=few["frequency"].astype("Int64"),
        order_margin=[Decimal(str(margin)) for margin in few["order_margin"]],
    )
    pd.testing.assert_frame_equal(fitted.predict(decimals), fitted.predict(few), check_exact=True)


def test_the_mean_of_a_segment_is_that_of_its_customers(fitted, shop):
    segments = fitted.predict_mean(shop.sample(frac=1, random_state=5), ["channel"])
    assert segments["channel"].tolist()[:2] == ["ads", "search"]
    assert pd.isna(segments["channel"][2])
    assert segments["customer_count"].tolist() == [500, 500, 500]
    predicted = fitted.predict(shop)
    for horizon in (12, 24, 36):
        name = f"predicted_ltv_{horizon}m"
        means = predicted[name].groupby(shop["channel"].fillna("~")).mean().tolist()
        assert segments[name].tolist() == pytest.approx(means)
        assert (segments[f"{name}_p10"] < segments[name]).all()
        assert (segments[f"{name}_p90"] > segments[name]).all()


def test_the_interval_of_a_mean_is_as_wide_as_the_mean_scatters(shop, fitted):
    """The same 200 histories, valued by 30 models of other draws of as many customers: p10 to p90 is 2.56 standard deviations."""
    some = shop.head(200).assign(all="all")
    interval = fitted.predict_mean(some, ["all"]).iloc[0]
    said = (interval["predicted_ltv_12m_p90"] - interval["predicted_ltv_12m_p10"]) / 2.563
    means = []
    for seed in range(30):
        other = CustomerLifetimeValue(monthly_discount_rate=0.02).fit(draw_shop(1500, seed=100 + 2 * seed))
        means.append(other.predict(some)["predicted_ltv_12m"].mean())
    # The standard deviation of 30 is known to 13 %.
    assert 0.65 < np.std(means, ddof=1) / said < 1.5


@pytest.mark.real_data
def test_cdnow_in_money(real_data):
    """946 customers came back; the others are worth what the population's mean value makes of their few expected orders."""
    customers = cdnow_customers(real_data).rename_axis("person_id").reset_index().assign(order_margin=0.3)
    predicted = predict_customers(customers, monthly_discount_rate=0.01)
    assert len(predicted) == 2357
    returned = customers["frequency"].to_numpy() > 0
    assert predicted["expected_order_value"][~returned].to_numpy() == pytest.approx(35.17, abs=0.02)
    assert predicted["predicted_ltv_12m"][returned].mean() > 4 * predicted["predicted_ltv_12m"][~returned].mean()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"person_id": "p1"}, "person_id must name each customer once; 0 are NULL and 1499 are there again"),
        ({"person_id": None}, "1500 are NULL"),
        ({"order_margin": 30}, "order_margin must be finite numbers and at most 1; 1500 of 1500 are not, first 30"),
        ({"order_margin": None}, "order_margin must be finite numbers"),
        ({"age_days": "old"}, "column 'age_days' must hold numbers"),
        ({"recency_days": 9999}, "have a recency above their age|recency without repeats"),
    ],
)
def test_frames_that_are_none_of_customers_are_refused(shop, change, message):
    with pytest.raises(ClvError, match=message):
        predict_customers(shop.assign(**change))


def test_missing_columns_and_wrong_settings_are_refused(shop, fitted):
    with pytest.raises(ClvError, match=r"CustomerLifetimeValue \(EU\): column 'age_days' is missing"):
        predict_customers(shop.drop(columns="age_days"), label="EU")
    with pytest.raises(ClvError, match=r"monthly_discount_rate must be a finite number of at least 0, not -0\.1"):
        predict_customers(shop, monthly_discount_rate=-0.1)
    for segments in ([], "channel", ["frequency"], ["channel", "channel"]):
        with pytest.raises(ClvError, match="segments must name columns"):
            fitted.predict_mean(shop, segments)
    with pytest.raises(ClvError, match="column 'country' is missing"):
        fitted.predict_mean(shop, ["country"])


def test_a_shop_without_repeats_is_named(shop):
    with pytest.raises(DegenerateDataError, match=r"BetaGeoNBD \(EU\): none of \d+ customers ordered again"):
        predict_customers(shop[shop["frequency"] == 0], label="EU")


# Subscriptions


def test_subscriptions_by_hand(plans):
    predicted = predict_subscriptions(plans, segments=["plan"], monthly_discount_rate=0.01).set_index("plan")
    basic = plans[plans["plan"] == "basic"]
    model = ShiftedBetaGeometric().fit(basic["period"], basic["lost"], basic["alive"])
    row = predicted.loc["basic"]
    assert (row["method"], row["customer_count"], row["lost_count"]) == ("sbg", 6000, basic["lost"].sum())
    for horizon in (12, 24, 36):
        assert row[f"survival_{horizon}m"] == pytest.approx(model.survival([horizon])[0])
        value = 20 * model.discounted_lifetime(0.01, horizon=horizon)
        assert row[f"predicted_ltv_{horizon}m"] == pytest.approx(value)
        assert row[f"predicted_ltv_{horizon}m_p10"] < value < row[f"predicted_ltv_{horizon}m_p90"]


def test_what_cannot_be_fitted_alone_is_named(plans):
    predicted = predict_subscriptions(plans, segments=["plan"], monthly_discount_rate=0).set_index("plan")
    assert predicted["method"].to_dict() == {"basic": "sbg", "flat": "geometric", "rare": "sbg_pooled"}
    assert predicted.loc["flat", "survival_12m"] == pytest.approx(0.9**12, rel=2e-3)
    pool = ShiftedBetaGeometric().fit(plans["period"], plans["lost"], plans["alive"])
    # The pool's survival, the segment's own margin.
    assert predicted.loc["rare", "predicted_ltv_24m"] == pytest.approx(50 * pool.survival(np.arange(24)).sum())
    late = plans[plans["plan"] != "basic"].replace({"lost": {3: 0, 0: 3}})
    assert predict_subscriptions(late, segments=["plan"])["method"].tolist() == ["geometric", "geometric_pooled"]


def test_a_pool_that_cannot_be_fitted_either_is_an_error(plans):
    with pytest.raises(DegenerateDataError, match=r"ShiftedBetaGeometric \(all segments\): 3 of 12 customers left"):
        predict_subscriptions(plans[plans["plan"] == "rare"], segments=["plan"])
    once = pd.DataFrame({"period": [1, 9], "lost": [400, 0], "alive": [0, 600], "plan": "once", "monthly_margin": 5})
    with pytest.raises(ConvergenceError, match=r"ShiftedBetaGeometric \(all segments\): the likelihood grows up to the bounds"):
        predict_subscriptions(once, segments=["plan"])


def test_the_curve_by_month(plans):
    curve = project_subscriptions(plans, segments=["plan"], monthly_discount_rate=0.01)
    predicted = predict_subscriptions(plans, segments=["plan"], monthly_discount_rate=0.01)
    assert len(curve) == 3 * 37
    for plan, months in curve.groupby("plan"):
        assert months["month"].tolist() == list(range(37))
        assert months["survival"].iloc[0] == 1
        assert months["survival"].is_monotonic_decreasing
        assert months["cumulative_margin"].is_monotonic_increasing
        at = months.set_index("month")
        row = predicted.set_index("plan").loc[plan]
        assert at["cumulative_margin"][[12, 24, 36]].tolist() == [row[f"predicted_ltv_{h}m"] for h in (12, 24, 36)]
        assert at["cumulative_margin_p10"][36] == row["predicted_ltv_36m_p10"]
        # The first payment is made today by everyone: nothing about it is uncertain.
        first = at.loc[1, ["cumulative_margin_p10", "cumulative_margin", "cumulative_margin_p90"]]
        assert first.tolist() == pytest.approx([row["monthly_margin"]] * 3)


def test_yearly_contracts_lose_customers_once_a_year(plans):
    yearly = project_subscriptions(plans, segments=["plan"], monthly_discount_rate=0, months_per_period=12)
    basic = yearly[yearly["plan"] == "basic"].set_index("month")
    assert basic["survival"][11] == 1
    assert basic["cumulative_margin"][12] == pytest.approx(240)
    by_year = ShiftedBetaGeometric().fit(*(plans[plans["plan"] == "basic"][name] for name in ("period", "lost", "alive")))
    assert basic["survival"][[12, 23, 24, 36]].tolist() == pytest.approx(by_year.survival([1, 1, 2, 3]).tolist())


def test_segments_do_not_know_of_each_other_and_the_order_of_rows_changes_no_byte(plans):
    once = predict_subscriptions(plans, segments=["plan"])
    again = predict_subscriptions(plans.sample(frac=1, random_state=8).assign(cohort="2024-01"), segments=["plan"])
    pd.testing.assert_frame_equal(again, once, check_exact=True)
    alone = predict_subscriptions(plans[plans["plan"] == "basic"], segments=["plan"])
    pd.testing.assert_frame_equal(alone, once.head(1), check_exact=True)


def test_a_margin_is_the_mean_of_customers_and_may_be_a_loss(plans):
    basic = plans[plans["plan"] == "basic"]
    customers = (basic["lost"] + basic["alive"]).to_numpy()
    margins = np.where(basic["period"] > 3, -40.0, 5.0)
    mixed = predict_subscriptions(basic.assign(monthly_margin=margins), segments=["plan"]).iloc[0]
    assert mixed["monthly_margin"] == pytest.approx(np.average(margins, weights=customers))
    loss = predict_subscriptions(basic.assign(monthly_margin=-1), segments=["plan"]).iloc[0]
    assert loss["predicted_ltv_12m_p10"] < loss["predicted_ltv_12m"] < loss["predicted_ltv_12m_p90"] < -1


def test_segments_of_several_columns_with_nulls(plans):
    keyed = plans.assign(channel=np.where(plans["plan"] == "flat", None, "ads"))
    predicted = predict_subscriptions(keyed, segments=["channel", "plan"])
    assert predicted["plan"].tolist() == ["basic", "rare", "flat"]
    assert predicted["channel"].isna().tolist() == [False, False, True]
    assert predict_subscriptions(plans.head(0), segments=["plan"]).empty
    assert project_subscriptions(plans.head(0), segments=["plan"]).empty


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lost": -1}, "subscriptions: lost must be whole numbers and at least 0"),
        ({"alive": None}, "subscriptions: alive must be whole numbers"),
        ({"period": "first"}, "column 'period' must hold numbers"),
        ({"monthly_margin": None}, r"subscriptions \(plan basic\): monthly_margin must be finite numbers"),
        ({"lost": 0, "alive": 0}, r"subscriptions \(plan basic\): there are no customers"),
    ],
)
def test_frames_that_are_none_of_periods_are_refused(plans, change, message):
    with pytest.raises(ClvError, match=message):
        predict_subscriptions(plans.assign(**change), segments=["plan"])


def test_missing_columns_and_wrong_periods_are_refused(plans):
    with pytest.raises(ClvError, match="column 'lost' is missing"):
        predict_subscriptions(plans.drop(columns="lost"), segments=["plan"])
    for wrong in (0, 1.5):
        with pytest.raises(ClvError, match="months_per_period must be a whole number of at least 1"):
            predict_subscriptions(plans, segments=["plan"], months_per_period=wrong)
