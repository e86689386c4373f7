from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

from ml.clv.beta_geo_nbd import BetaGeoNBD
from ml.clv.inputs import ClvError, ConvergenceError, DegenerateDataError
from ml.clv.lifetime_value import CustomerLifetimeValue, SubscriptionLifetimeValue
from ml.clv.likelihood import Z90
from ml.clv.shifted_beta_geometric import ShiftedBetaGeometric
from tests.oracles.clv_values import account_values, expected_orders, p_alive, shop_values
from tests.unit.ml.clv_customers import cdnow_customers, draw_accounts, draw_customers, draw_shop, draw_tenures

ORDERS = {"r": 0.6, "alpha": 40.0, "a": 0.9, "b": 3.0}
MONEY = ["predicted_ltv_12m", "predicted_ltv_24m", "predicted_ltv_36m"]


@pytest.fixture(scope="module")
def shop():
    return draw_shop(1500, seed=20)


@pytest.fixture(scope="module")
def fitted(shop):
    return CustomerLifetimeValue(monthly_discount_rate=0.02).fit(shop)


@pytest.fixture(scope="module")
def tenures():
    """A segment that fits, one whose churn is the same in each month, and one with a handful of customers."""
    return draw_tenures()


@pytest.fixture(scope="module")
def accounts():
    return draw_accounts(400, seed=7)


@pytest.fixture(scope="module")
def subscriptions(tenures):
    return SubscriptionLifetimeValue(monthly_discount_rate=0.02).fit(tenures)


def by_channel(frame):
    """Sorted channels, and a matrix that sums over them."""
    channels = frame["channel"].fillna("(none)")
    names = sorted(channels.unique())
    codes = [names.index(channel) for channel in channels]
    return names, csr_matrix((np.ones(len(frame)), (codes, np.arange(len(frame)))), shape=(len(names), len(frame)))


# Shop customers


def test_lifetime_values_are_those_of_the_oracle(fitted, shop):
    """Month by month, customer by customer, by the series of the paper."""
    predicted = fitted.predict(shop).set_index("person_id")
    for row in shop.iloc[::60].to_dict("records"):
        history = int(row["frequency"]), row["recency_days"], row["age_days"]
        found = predicted.loc[row["person_id"]]
        by_hand = shop_values(fitted.purchases_.parameters_, fitted.values_.parameters_, row, 0.02)
        assert found[MONEY].tolist() == pytest.approx(by_hand, rel=1e-7)
        assert found["p_alive"] == pytest.approx(p_alive(fitted.purchases_.parameters_, *history))
        for days in (90, 365):
            expected = expected_orders(fitted.purchases_.parameters_, days, *history)
            assert found[f"expected_orders_{days}d"] == pytest.approx(expected, rel=1e-7)


def test_what_is_over_is_worth_what_was_observed(fitted, shop):
    over = shop.assign(remaining_days_12m=0, remaining_days_24m=1)
    predicted = fitted.predict(over)
    assert (predicted["predicted_ltv_12m"] == over["margin_12m"]).all()
    assert (predicted["predicted_ltv_24m"] > over["margin_24m"]).all()
    assert (predicted["predicted_ltv_24m"] < over["margin_24m"] + 0.05 * predicted["expected_order_value"]).all()


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
    assert fitted.sums(shop.head(0), csr_matrix((2, 0)))[0].tolist() == [[0, 0, 0]] * 2


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
    shuffled = few.sample(frac=1, random_state=3)
    first, second = (CustomerLifetimeValue().fit(frame).predict(frame) for frame in (few, shuffled))
    pd.testing.assert_frame_equal(first, second, check_exact=True)


def test_money_as_decimals_and_counts_as_nullable_integers_do(fitted, shop):
    """As a warehouse gives them: DECIMAL with None, and integers with a mask."""
    few = shop.head(50).assign(mean_repeat_value=shop["mean_repeat_value"].round(2))
    decimals = few.assign(
        mean_repeat_value=[None if np.isnan(value) else Decimal(f"{value:.2f}") for value in few["mean_repeat_value"]],
        frequency=few["frequency"].astype("Int64"),
        order_margin=[Decimal(str(margin)) for margin in few["order_margin"]],
    )
    pd.testing.assert_frame_equal(fitted.predict(decimals), fitted.predict(few), check_exact=True)


def test_sums_are_those_of_customers_and_say_how_well_they_are_known(fitted, shop):
    names, groups = by_channel(shop)
    total, variance = fitted.sums(shop, groups)
    predicted = fitted.predict(shop)
    for column, horizon in enumerate((12, 24, 36)):
        expected = predicted[f"predicted_ltv_{horizon}m"] - shop[f"margin_{horizon}m"]
        assert total[:, column].tolist() == pytest.approx([expected[shop["channel"] == name].sum() for name in names])
    assert (np.sqrt(variance) > 0.01 * total).all()
    assert (np.sqrt(variance) < 0.3 * total).all()


def test_the_interval_of_a_mean_is_as_wide_as_the_mean_scatters(shop, fitted):
    """The same 200 histories, valued by 30 models of other draws of as many customers: p10 to p90 is 2.56 standard deviations."""
    some = shop.head(200)
    said = np.sqrt(fitted.sums(some, csr_matrix(np.ones((1, 200))))[1][0, 0]) / 200
    means = []
    for seed in range(30):
        other = CustomerLifetimeValue(monthly_discount_rate=0.02).fit(draw_shop(1500, seed=100 + 2 * seed))
        means.append(other.predict(some)["predicted_ltv_12m"].mean())
    # The standard deviation of 30 is known to 13 %.
    assert 0.65 < np.std(means, ddof=1) / said < 1.5
    assert pytest.approx(2.563, abs=1e-3) == 2 * Z90


@pytest.mark.real_data
def test_cdnow_in_money(real_data):
    """946 customers came back; the others are worth what the population's mean value makes of their few expected orders."""
    customers = cdnow_customers(real_data).rename_axis("person_id").reset_index().assign(order_margin=0.3)
    customers = customers.assign(
        **{f"margin_{h}m": 0 for h in (12, 24, 36)}, **{f"remaining_days_{h}m": 365 for h in (12, 24, 36)}
    )
    predicted = CustomerLifetimeValue(monthly_discount_rate=0.01).fit(customers).predict(customers)
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
        ({"remaining_days_12m": 366}, r"remaining_days_12m must be finite numbers and at least 0 and at most 365\.25"),
        ({"margin_24m": None}, "margin_24m must be finite numbers"),
    ],
)
def test_frames_that_are_none_of_customers_are_refused(shop, change, message):
    with pytest.raises(ClvError, match=message):
        CustomerLifetimeValue().fit(shop.assign(**change))


def test_missing_columns_and_wrong_settings_are_refused(shop):
    with pytest.raises(ClvError, match=r"CustomerLifetimeValue \(EU\): column 'age_days' is missing"):
        CustomerLifetimeValue(label="EU").fit(shop.drop(columns="age_days"))
    for model, frame in ((CustomerLifetimeValue, shop), (SubscriptionLifetimeValue, draw_tenures())):
        with pytest.raises(ClvError, match=r"monthly_discount_rate must be a finite number of at least 0, not -0\.1"):
            model(monthly_discount_rate=-0.1).fit(frame)


def test_a_shop_without_repeats_is_named(shop):
    with pytest.raises(DegenerateDataError, match=r"BetaGeoNBD \(EU\): none of \d+ customers ordered again"):
        CustomerLifetimeValue(label="EU").fit(shop[shop["frequency"] == 0])


# Subscriptions


def test_accounts_are_worth_what_the_oracle_says(subscriptions, accounts):
    expected = subscriptions.predict(accounts)
    observed = accounts[["margin_12m", "margin_24m", "margin_36m"]].to_numpy()
    for number, row in enumerate(accounts.to_dict("records")):
        model = subscriptions.models_.get((row["plan"], row["channel"]))
        by_hand = account_values({} if model is None else model.parameters_, row, 0.02)
        assert (expected + observed)[number].tolist() == pytest.approx(by_hand)
    paying = accounts["plan"].notna()
    assert (expected[~paying] == 0).all()
    assert (expected[paying][:, 2] > 0).any()
    assert (np.diff(expected, axis=1) >= 0).all()


def test_who_has_paid_ahead_pays_later(subscriptions, accounts):
    """Of a yearly contract in its third month the first year is paid: nothing more comes in it."""
    row = accounts[accounts["plan"] == "basic"].head(1).assign(age_months=2, tenure_months=2, monthly_margin=10)
    yearly, monthly = (subscriptions.predict(row.assign(next_payment_month=month))[0] for month in (12, 3))
    assert yearly[0] == 0
    assert monthly[0] > 0
    assert monthly[1] - yearly[1] == pytest.approx(monthly[0])


def test_what_cannot_be_fitted_alone_is_named(subscriptions, tenures):
    assert subscriptions.methods_ == {
        ("basic", "ads"): "sbg",
        ("flat", "(none)"): "geometric",
        ("rare", "ads"): "sbg_pooled",
    }
    pool = ShiftedBetaGeometric().fit(tenures["period"], tenures["lost"], tenures["alive"])
    assert subscriptions.models_["rare", "ads"].parameters_ == pytest.approx(pool.parameters_)
    late = tenures[tenures["plan"] != "basic"].replace({"lost": {3: 0, 0: 3}})
    assert set(SubscriptionLifetimeValue().fit(late).methods_.values()) == {"geometric", "geometric_pooled"}


def test_a_segment_that_was_never_seen_is_the_pool_s(subscriptions, accounts):
    row = accounts[accounts["plan"] == "rare"].head(1)
    unseen = subscriptions.predict(row.assign(plan="new"))
    assert unseen.tolist() == subscriptions.predict(row).tolist()


def test_a_pool_that_cannot_be_fitted_either_is_an_error(tenures, accounts):
    with pytest.raises(DegenerateDataError, match=r"ShiftedBetaGeometric \(all segments\): 3 of 12 customers left"):
        SubscriptionLifetimeValue().fit(tenures[tenures["plan"] == "rare"])
    once = pd.DataFrame({"period": [1, 9], "lost": [400, 0], "alive": [0, 600], "entered": 0, "plan": "once", "channel": "ads"})
    with pytest.raises(ConvergenceError, match=r"ShiftedBetaGeometric \(all segments\): the likelihood grows up to the bounds"):
        SubscriptionLifetimeValue().fit(once)
    # Without a history, paying accounts need a pool that is not there; those that have stopped need none.
    empty = SubscriptionLifetimeValue().fit(tenures.head(0))
    stopped = accounts[accounts["plan"].isna()]
    assert (empty.predict(stopped) == 0).all()
    with pytest.raises(DegenerateDataError, match="none of 0 customers left"):
        empty.predict(accounts)


def test_sums_of_accounts_and_how_well_they_are_known(subscriptions, accounts):
    """Variance of one segment by hand: the slopes of its sum, by its parameters, times their covariance."""
    names, groups = by_channel(accounts)
    total, variance = subscriptions.sums(accounts, groups)
    expected = subscriptions.predict(accounts)
    channels = accounts["channel"].to_numpy()
    assert total.tolist() == [pytest.approx(expected[channels == name].sum(axis=0)) for name in names]
    basic = accounts[(accounts["plan"] == "basic") & (channels == "ads")]
    model = subscriptions.models_["basic", "ads"]
    slopes = []
    for name, value in model.parameters_.items():
        sums = []
        for step in (1e-3, -1e-3):
            moved = {**model.parameters_, name: value * np.exp(step)}
            rows = basic.to_dict("records")
            sums.append(sum(account_values(moved, row, 0.02)[2] for row in rows))
        slopes.append((sums[0] - sums[1]) / 2e-3)
    by_hand = np.array(slopes) @ model.covariance_ @ slopes
    assert subscriptions.sums(basic, csr_matrix(np.ones((1, len(basic)))))[1][0, 2] == pytest.approx(by_hand, rel=1e-4)
    assert (variance[:, 2] > 0).all()


def test_the_order_of_rows_changes_no_byte(subscriptions, tenures, accounts):
    again = SubscriptionLifetimeValue(monthly_discount_rate=0.02).fit(tenures.sample(frac=1, random_state=8))
    assert again.predict(accounts).tolist() == subscriptions.predict(accounts).tolist()
    alone = SubscriptionLifetimeValue(monthly_discount_rate=0.02).fit(tenures[tenures["plan"] == "basic"])
    basic = accounts[accounts["plan"] == "basic"]
    assert alone.predict(basic).tolist() == subscriptions.predict(basic).tolist()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lost": -1}, "subscriptions: lost must be whole numbers and at least 0"),
        ({"alive": None}, "subscriptions: alive must be whole numbers"),
        ({"period": "first"}, "column 'period' must hold numbers"),
        ({"channel": None}, "subscriptions: channel must be filled"),
    ],
)
def test_frames_that_are_none_of_periods_are_refused(tenures, change, message):
    with pytest.raises(ClvError, match=message):
        SubscriptionLifetimeValue().fit(tenures.assign(**change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tenure_months": None}, "subscriptions: tenure_months must be whole numbers"),
        ({"monthly_margin": -5}, "subscriptions: monthly_margin must be finite numbers and at least 0"),
        ({"channel": None}, "subscriptions: channel must be filled"),
    ],
)
def test_frames_that_are_none_of_accounts_are_refused(subscriptions, accounts, change, message):
    with pytest.raises(ClvError, match=message):
        subscriptions.predict(accounts.assign(**change))
    with pytest.raises(ClvError, match="column 'age_months' is missing"):
        subscriptions.predict(accounts.drop(columns="age_months"))
