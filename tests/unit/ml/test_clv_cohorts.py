import numpy as np
import pandas as pd
import pytest

from ml.clv.cohorts import METHODS, NO_FIT, NO_SUBSCRIPTIONS, TOO_FEW, value
from ml.clv.inputs import ClvError
from ml.clv.lifetime_value import CustomerLifetimeValue, SubscriptionLifetimeValue, money_columns
from ml.clv.likelihood import Z90
from tests.oracles.clv_values import account_values, mean, shop_values
from tests.unit.ml.clv_customers import draw_accounts, draw_shop, draw_tenures

KEY = ["cohort_month", "dimension", "segment"]


@pytest.fixture(scope="module")
def shop():
    return draw_shop(900, seed=40)


@pytest.fixture(scope="module")
def accounts():
    return draw_accounts(300, seed=41)


@pytest.fixture(scope="module")
def valued(shop, accounts):
    return value(shop, draw_tenures(), accounts, monthly_discount_rate=0.02)


def test_means_of_cohorts_are_those_of_their_customers_one_by_one(valued, shop, accounts):
    shop_model = CustomerLifetimeValue(monthly_discount_rate=0.02).fit(shop)
    survival = SubscriptionLifetimeValue(monthly_discount_rate=0.02).fit(draw_tenures())
    cohorts = valued.cohorts.set_index(KEY)
    busiest = pd.concat([shop, accounts])["cohort_month"].value_counts().idxmax()
    for dimension, segment in (("all", "all"), ("channel", "ads"), ("country", "DE")):
        worth = []
        for frame in (shop, accounts):
            chosen = frame[frame["cohort_month"] == busiest]
            if dimension != "all":
                chosen = chosen[chosen[dimension] == segment]
            for row in chosen.to_dict("records"):
                if "frequency" in row:
                    worth.append(shop_values(shop_model.purchases_.parameters_, shop_model.values_.parameters_, row, 0.02))
                else:
                    model = survival.models_.get((row["plan"], row["channel"]))
                    worth.append(account_values({} if model is None else model.parameters_, row, 0.02))
        row = cohorts.loc[(busiest, dimension, segment)]
        assert row["customer_count"] == len(worth) > 10
        assert row["method"] == "sbg+bg_nbd_gamma_gamma"
        for column, name in enumerate(money_columns()):
            assert row[name] == pytest.approx(mean([figures[column] for figures in worth]), rel=1e-7)


def test_each_customer_is_in_one_segment_of_each_dimension(valued, shop, accounts):
    sizes = valued.cohorts.groupby("dimension")["customer_count"].sum()
    assert sizes.to_dict() == dict.fromkeys(("all", "channel", "country"), len(shop) + len(accounts))
    assert not valued.cohorts.duplicated(KEY).any()
    assert set(valued.cohorts["method"]) <= set(METHODS)
    pd.testing.assert_frame_equal(
        valued.customers, CustomerLifetimeValue(monthly_discount_rate=0.02).fit(shop).predict(shop), check_exact=True
    )


def test_variances_of_both_kinds_add(shop, accounts, valued):
    """The interval of all together is that of the sum of two independent ones."""
    everybody = [frame.assign(cohort_month=pd.Timestamp("2024-01-01")) for frame in (shop, accounts)]
    both = value(everybody[0], draw_tenures(), everybody[1], monthly_discount_rate=0.02).cohorts.iloc[0]
    shop_alone = value(everybody[0], draw_tenures(), accounts.head(0), monthly_discount_rate=0.02).cohorts.iloc[0]
    accounts_alone = value(shop.head(0), draw_tenures(), everybody[1], monthly_discount_rate=0.02).cohorts.iloc[0]
    assert (both["method"], shop_alone["method"], accounts_alone["method"]) == (METHODS[2], METHODS[0], METHODS[1])

    def error(row):
        return (row["predicted_ltv_36m_p90"] - row["predicted_ltv_36m"]) * row["customer_count"] / Z90

    assert error(both) == pytest.approx(np.hypot(error(shop_alone), error(accounts_alone)))
    for name in money_columns():
        assert (valued.cohorts[f"{name}_p10"] <= valued.cohorts[name]).all()
        assert (valued.cohorts[f"{name}_p90"] >= valued.cohorts[name]).all()


def test_nobody_takes_back_what_was_observed(shop, accounts):
    """Thirty customers know little, but the margin they have brought in is certain."""
    thin = shop[shop["frequency"] > 0].head(40).assign(margin_12m=1000.0)
    cohorts = value(thin, draw_tenures(), accounts.head(0)).cohorts
    assert (cohorts["predicted_ltv_12m_p10"] >= 1000).all()


@pytest.mark.parametrize(("kind", "reason"), [("few", TOO_FEW), ("alike", NO_FIT)])
def test_a_shop_without_a_model_leaves_its_cohorts_without_a_prediction(shop, accounts, kind, reason):
    frame = shop.head(20) if kind == "few" else shop.assign(mean_repeat_value=np.where(shop["frequency"] > 0, 10.0, np.nan))
    got = value(frame, draw_tenures(), accounts)
    assert got.shop.startswith(reason)
    assert set(got.customers["method"]) == {reason}
    assert got.customers[list(got.customers.columns[1:-1])].isna().all(axis=None)
    assert got.customers.columns.tolist() == CustomerLifetimeValue().fit(shop).predict(shop).columns.tolist()
    has_shop = got.cohorts["method"] == reason
    assert 0 < has_shop.sum() < len(got.cohorts)
    money = money_columns("", "_p10", "_p90")
    assert got.cohorts.loc[has_shop, money].isna().all(axis=None)
    assert got.cohorts.loc[~has_shop, money].notna().all(axis=None)
    assert set(got.cohorts.loc[~has_shop, "method"]) == {"sbg"}


def test_accounts_without_a_model_leave_the_shop_its_own(shop, accounts):
    tenures = draw_tenures()
    got = value(shop, tenures[tenures["plan"] == "rare"], accounts)
    assert got.subscriptions == f"{TOO_FEW}: ShiftedBetaGeometric (all segments): 3 of 12 customers left, at least 20 are needed"
    assert got.customers["predicted_ltv_12m"].notna().all()
    assert set(got.cohorts["method"]) == {TOO_FEW, "bg_nbd_gamma_gamma"}
    assert set(got.parameters) == {f"shop {name}" for name in ("r", "alpha", "a", "b", "p", "q", "v")}


def test_a_company_without_customers_has_no_values(shop, accounts):
    got = value(shop.head(0), draw_tenures().head(0), accounts.head(0))
    assert got.customers.empty
    assert got.cohorts.empty
    assert (got.shop, got.subscriptions) == ("no customers", "no customers")
    assert {"predicted_ltv_36m_p90", "method", *KEY} <= set(got.cohorts.columns)


def test_what_was_fitted_is_told(valued):
    assert valued.shop == "bg_nbd_gamma_gamma, 900 customers"
    assert valued.subscriptions == "geometric in 1 segments, sbg in 1 segments, sbg_pooled in 1 segments, 300 customers"
    assert {"shop alpha", "basic, ads alpha", "flat, (none) odds", "all segments beta"} <= set(valued.parameters)


def test_frames_that_are_none_of_customers_are_errors(shop, accounts):
    with pytest.raises(ClvError, match="order_margin must be finite"):
        value(shop.assign(order_margin=None), draw_tenures(), accounts)


def test_accounts_that_paid_without_any_subscription_are_not_valued(shop, accounts):
    """What they have paid is no lifetime value: nobody knows whether they stay. The shop has its own models."""
    strangers = accounts.assign(plan=None, tenure_months=np.nan, next_payment_month=np.nan, monthly_margin=0.0)
    got = value(shop, draw_tenures().head(0), strangers)
    assert got.subscriptions == NO_SUBSCRIPTIONS
    assert set(got.cohorts["method"]) == {NO_SUBSCRIPTIONS, "bg_nbd_gamma_gamma"}
    unknown = got.cohorts["method"] == NO_SUBSCRIPTIONS
    assert got.cohorts.loc[unknown, money_columns("", "_p10", "_p90")].isna().all(axis=None)
    assert got.cohorts.loc[~unknown, money_columns()].notna().all(axis=None)
