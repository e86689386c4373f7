import numpy as np
import pandas as pd
import pytest
from scipy.special import betaln
from sklearn.exceptions import NotFittedError

from ml.clv.inputs import ClvError, ConstantChurnError, ConvergenceError, DegenerateDataError
from ml.clv.likelihood import delta_variance
from ml.clv.shifted_beta_geometric import ShiftedBetaGeometric, ShiftedGeometric
from tests.unit.ml.clv_customers import draw_lifetimes

KNOWN = {"alpha": 0.7, "beta": 2.2}


def fit(rows, **settings):
    return ShiftedBetaGeometric(**settings).fit(rows["period"], rows["lost"], rows["alive"])


def survivors(alive):
    """Rows of one cohort of which so many were alive after 0, 1, 2, … periods."""
    last = len(alive) - 1
    return pd.DataFrame(
        {
            "period": np.arange(1, last + 1),
            "lost": -np.diff(alive),
            "alive": np.where(np.arange(1, last + 1) == last, alive[-1], 0),
        }
    )


def expected(ages, *, count=1e12, alpha, beta):
    """Rows of cohorts of these ages that are just as large as the model expects them to be."""
    at = ShiftedBetaGeometric().at(alpha=alpha, beta=beta)
    return pd.concat([survivors(np.round(count * at.survival(np.arange(age + 1)))) for age in ages], ignore_index=True)


@pytest.mark.real_data
@pytest.mark.parametrize(("column", "alpha", "beta"), [("highend_alive", 0.668, 3.806), ("regular_alive", 0.704, 1.182)])
def test_published_estimates_of_seven_years(real_data, column, alpha, beta):
    alive = pd.read_csv(real_data / "fader_hardie_2007_survivors.csv")[column].to_numpy()
    model = fit(survivors(alive))
    assert model.parameters_ == {"alpha": pytest.approx(alpha, abs=5e-4), "beta": pytest.approx(beta, abs=5e-4)}
    assert model.customer_count_ == 1000
    assert model.lost_count_ == 1000 - alive[-1]
    assert model.survival(np.arange(8)) == pytest.approx(alive / 1000, abs=0.02)


def test_known_parameters_come_back_within_their_standard_errors():
    model = fit(draw_lifetimes(20_000, **KNOWN, ages=[12], seed=1))
    errors = np.sqrt(np.diag(model.covariance_))
    assert (errors < 0.06).all()
    away = (np.log(list(model.parameters_.values())) - np.log(list(KNOWN.values()))) / errors
    assert (np.abs(away) < 3).all()


@pytest.mark.parametrize("ages", [[12], [3, 4, 6, 9, 12], [2, 2, 2]], ids=["complete", "censored", "all young"])
def test_censored_cohorts_are_expected_to_give_the_estimate_of_complete_ones(ages):
    assert fit(expected(ages, **KNOWN)).parameters_ == pytest.approx(KNOWN, rel=1e-6)


def test_to_leave_censored_customers_out_would_be_wrong():
    """The opposite of the test above: those who are alive carry half of what there is to know."""
    rows = expected([3, 4, 6, 9, 12], **KNOWN)
    assert fit(rows.assign(alive=0)).survival([12])[0] < 0.5 * ShiftedBetaGeometric().at(**KNOWN).survival([12])[0]


def test_the_likelihood_is_that_of_the_paper():
    """Σ lost(t) ln P(t) + alive ln S(n), with beta functions: rows of renewals add up to the same."""
    rows = draw_lifetimes(500, **KNOWN, ages=[4, 8], seed=2)
    model = fit(rows)
    alpha, beta = model.parameters_["alpha"], model.parameters_["beta"]
    by_hand = rows["lost"] * (betaln(alpha + 1, beta + rows["period"] - 1) - betaln(alpha, beta))
    by_hand += rows["alive"] * (betaln(alpha, beta + rows["period"]) - betaln(alpha, beta))
    assert model.log_likelihood_ == pytest.approx(by_hand.sum())


def test_the_order_of_rows_and_the_grouping_of_cohorts_change_no_byte():
    rows = draw_lifetimes(300, **KNOWN, ages=[3, 6, 6, 9], seed=3)
    once = fit(rows).parameters_
    assert fit(rows.sample(frac=1, random_state=1)).parameters_ == once
    assert fit(rows.groupby("period", as_index=False).sum()).parameters_ == once


def test_survival_falls_and_retention_rises():
    model = ShiftedBetaGeometric().at(**KNOWN)
    periods = np.arange(200)
    survival, retention = model.survival(periods), model.retention(periods[1:])
    assert survival[0] == 1
    assert (np.diff(survival) < 0).all()
    assert (survival > 0).all()
    assert (np.diff(retention) > 0).all()
    assert retention == pytest.approx(survival[1:] / survival[:-1])
    assert retention[0] == pytest.approx(2.2 / 2.9)


@pytest.mark.parametrize("rate", [0.005, 0.1, 1.0])
def test_a_lifetime_without_horizon_is_the_limit_of_those_with_one(rate):
    model = ShiftedBetaGeometric().at(**KNOWN)
    assert model.discounted_lifetime(rate) == pytest.approx(model.discounted_lifetime(rate, horizon=5000), rel=1e-8)
    residual = model.discounted_residual_lifetime(rate, renewals=3)
    assert residual == pytest.approx(model.discounted_residual_lifetime(rate, renewals=3, horizon=5000), rel=1e-8)


def test_discounted_lifetimes_by_hand():
    model = ShiftedBetaGeometric().at(**KNOWN)
    survival = model.survival(np.arange(40))
    for horizon in (1, 12, 36):
        by_hand = sum(survival[t] / 1.01**t for t in range(horizon))
        assert model.discounted_lifetime(0.01, horizon=horizon) == pytest.approx(by_hand)
        residual = sum(survival[3 + t] / survival[3] / 1.01 ** (t - 1) for t in range(1, horizon + 1))
        assert model.discounted_residual_lifetime(0.01, renewals=3, horizon=horizon) == pytest.approx(residual)
    assert model.discounted_lifetime(0, horizon=12) == pytest.approx(survival[:12].sum())


def test_who_has_stayed_longer_is_worth_more():
    model = ShiftedBetaGeometric().at(**KNOWN)
    values = [model.discounted_residual_lifetime(0.01, renewals=renewals, horizon=24) for renewals in range(10)]
    assert values == sorted(values)
    assert values[-1] < sum(1.01**-t for t in range(24))


def test_a_lifetime_for_ever_needs_a_discount():
    with pytest.raises(ClvError, match="needs a discount_rate clearly above 0"):
        ShiftedBetaGeometric().at(**KNOWN).discounted_lifetime(0)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([(1, 0, 0), (2, 0, 500)], r"ShiftedBetaGeometric \(plan basic\): none of 500 customers left, at least 20 are needed"),
        ([(1, 12, 0), (2, 7, 500)], "19 of 519 customers left"),
        ([(1, 100, 300)], "renewals of one period only"),
        ([(1, 100, 0), (2, 50, 0)][:1], "renewals of one period only"),
    ],
    ids=["no churn", "too little churn", "one period", "all gone at once"],
)
def test_counts_of_which_nothing_can_be_learnt(rows, message):
    with pytest.raises(DegenerateDataError, match=message):
        ShiftedBetaGeometric(label="plan basic").fit(*zip(*rows, strict=True))


def test_the_fewest_lost_is_a_setting():
    rows = survivors([500, 488, 482, 479])
    with pytest.raises(DegenerateDataError, match="21 of 500 customers left, at least 22 are needed"):
        fit(rows, minimum_lost=22)
    assert fit(rows, minimum_lost=21).lost_count_ == 21


@pytest.mark.parametrize("alive", [[1000, 900, 810, 729], [1000, 990, 900, 700]], ids=["constant", "rising"])
def test_churn_that_does_not_fall_has_customers_who_are_alike(alive):
    with pytest.raises(ConstantChurnError, match=r"churn does not fall with tenure \(in all 1"):
        fit(survivors(alive))


def test_churn_in_the_first_period_only_has_no_maximum():
    with pytest.raises(ConvergenceError, match="grows up to the bounds") as raised:
        fit(survivors([1000, 600, 600, 600, 600]))
    assert not isinstance(raised.value, ConstantChurnError)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([(0, 3, 0), (1, 50, 9)], "lost in period 0"),
        ([(1, -3, 0)], "lost must be whole numbers and at least 0"),
        ([(1.5, 3, 0)], "period must be whole numbers"),
        ([(20_000, 30, 0)], "at most 10000"),
        ([(1, 3, None)], "alive must be whole numbers"),
    ],
)
def test_rows_that_are_no_counts_are_refused(rows, message):
    with pytest.raises(ClvError, match=message):
        ShiftedBetaGeometric().fit(*zip(*rows, strict=True))


def test_customers_before_their_first_renewal_change_nothing_but_the_count():
    rows = survivors([500, 400, 350, 320])
    more = pd.concat([rows, pd.DataFrame({"period": [0], "lost": [0], "alive": [70]})])
    assert fit(more).parameters_ == fit(rows).parameters_
    assert fit(more).customer_count_ == 570


def test_survivors_of_an_unseen_past_do_not_flatter_the_estimate():
    """A cohort of which nothing but its survivors of three periods is known gives what its watched renewals give."""
    alive = [100_000, 80_000, 68_000, 60_000, 54_600, 50_600, 47_500]
    watched = {"period": [4, 5, 6, 3], "lost": [5_400, 4_000, 3_100, 0], "alive": [0, 0, 47_500, 0], "entered": [0, 0, 0, 60_000]}
    whole = fit(survivors(alive))
    late = ShiftedBetaGeometric().fit(**watched)
    assert late.retention([4, 5, 6]) == pytest.approx(whole.retention([4, 5, 6]), rel=0.01)
    assert late.customer_count_ == 60_000
    with pytest.raises(ConstantChurnError, match="churn does not fall with tenure"):
        ShiftedBetaGeometric().fit(**{**watched, "entered": [0] * 4})


def test_more_late_entries_than_customers_are_refused():
    with pytest.raises(ClvError, match="more customers entered late than are lost or alive afterwards"):
        ShiftedBetaGeometric().fit([1, 2], [30, 20], [0, 10], [0, 61])


def test_columns_of_different_length_and_wrong_settings_are_refused():
    with pytest.raises(ClvError, match=r"differ in length \(period 2, lost 1, alive 2\)"):
        ShiftedBetaGeometric().fit([1, 2], [30], [0, 9])
    for wrong in (0, 2.5, True):
        with pytest.raises(ClvError, match="minimum_lost must be a whole number of at least 1"):
            fit(survivors([500, 400, 350]), minimum_lost=wrong)
    with pytest.raises(ClvError, match="needs a positive finite value for each of alpha, beta"):
        ShiftedBetaGeometric().at(alpha=1)
    with pytest.raises(NotFittedError):
        ShiftedBetaGeometric().survival([1])


def test_equal_customers_are_the_limit_of_different_ones():
    rows = survivors([1000, 900, 810, 729])
    geometric = ShiftedGeometric().fit(rows["period"], rows["lost"], rows["alive"])
    assert geometric.survival([0, 1, 5]) == pytest.approx([1, 0.9, 0.9**5])
    near = ShiftedBetaGeometric().at(alpha=1e4, beta=9e4)
    assert near.survival([0, 1, 5]) == pytest.approx(geometric.survival([0, 1, 5]), rel=1e-4)
    with pytest.raises(DegenerateDataError, match="every renewal was refused"):
        ShiftedGeometric().fit([1], [50], [0])


def test_four_of_five_intervals_hold_the_truth():
    """p10 to p90 of a survival, by the delta method, over 150 draws: 80 % of them, give or take 3 standard errors of 3.3 %."""
    truth = ShiftedBetaGeometric().at(**KNOWN).survival([24])[0]
    held = []
    for seed in range(150):
        model = fit(draw_lifetimes(1000, **KNOWN, ages=[6, 12], seed=1000 + seed))
        reach = 1.2816 * np.sqrt(delta_variance(model, lambda at: at.survival([24]))[0])
        held.append(abs(model.survival([24])[0] - truth) < reach)
    assert 0.70 < np.mean(held) < 0.90
