import numpy as np
import pandas as pd
import pytest
from scipy.integrate import quad
from scipy.optimize import approx_fprime
from scipy.special import beta as beta_function
from scipy.special import betaincinv

from ml.clv.beta_geo_nbd import BetaGeoNBD, _log_likelihood
from ml.clv.inputs import ClvError, ConvergenceError, DegenerateDataError
from tests.unit.ml.clv_customers import CALIBRATION_END, cdnow_customers, cdnow_days, draw_customers

PUBLISHED = {"r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426}
KNOWN = {"r": 0.6, "alpha": 40.0, "a": 0.9, "b": 3.0}


@pytest.fixture(scope="module")
def drawn():
    return draw_customers(8000, **KNOWN, seed=5)


@pytest.fixture(scope="module")
def fitted(drawn):
    return BetaGeoNBD().fit(*drawn)


@pytest.mark.real_data
def test_published_estimates_for_cdnow(real_data):
    summary = pd.read_csv(real_data / "cdnow_customers_summary.csv")
    model = BetaGeoNBD().fit(summary["frequency"], summary["recency"], summary["T"])
    assert model.parameters_ == {name: pytest.approx(value, abs=5e-4) for name, value in PUBLISHED.items()}
    assert model.log_likelihood_ == pytest.approx(-9582.4, abs=0.05)
    assert model.conditional_expected_purchases(39, [2], [30.43], [38.86])[0] == pytest.approx(1.226, abs=5e-4)


@pytest.mark.real_data
def test_the_second_half_of_cdnow(real_data):
    """From the purchases to the counts, in days; 39 weeks later the model is 12 % low, as in the paper's figure."""
    days, customers = cdnow_days(real_data), cdnow_customers(real_data)
    assert len(days) == 6696
    assert (len(customers), (customers["frequency"] == 0).sum(), customers["frequency"].sum()) == (2357, 1411, 2457)
    summary = pd.read_csv(real_data / "cdnow_customers_summary.csv")
    assert summary["frequency"].tolist() == customers["frequency"].tolist()
    assert summary["recency"].tolist() == pytest.approx((customers["recency_days"] / 7).tolist(), abs=0.005)
    assert summary["T"].tolist() == pytest.approx((customers["age_days"] / 7).tolist(), abs=0.005)

    history = [customers[name].to_numpy() for name in ("frequency", "recency_days", "age_days")]
    model = BetaGeoNBD().fit(*history)
    in_weeks = {**model.parameters_, "alpha": model.parameters_["alpha"] / 7}
    assert in_weeks == {name: pytest.approx(value, abs=1e-3) for name, value in PUBLISHED.items()}
    assert model.conditional_expected_purchases(39 * 7, *history).sum() == pytest.approx(1653, abs=1)
    assert (days["day"] > CALIBRATION_END).sum() == 1882


def test_known_parameters_come_back_within_their_standard_errors(fitted):
    errors = np.sqrt(np.diag(fitted.covariance_))
    assert (errors < 0.12).all()
    away = (np.log(list(fitted.parameters_.values())) - np.log(list(KNOWN.values()))) / errors
    assert (np.abs(away) < 3).all()


def test_the_gradient_is_that_of_the_likelihood(drawn):
    frequency, recency, age = (values[:300] for values in drawn)
    log_likelihood = _log_likelihood(frequency, recency, age)
    for point in np.random.default_rng(1).normal(0, 1, (5, 4)):
        by_differences = approx_fprime(point, lambda at: log_likelihood(at)[0], 1e-6)
        assert log_likelihood(point)[1] == pytest.approx(by_differences, rel=1e-4, abs=1e-2)


def test_the_likelihood_of_one_customer_by_integration():
    """Two repeats until 5 of T = 9, integrated over λ and p: λ^x (1−p)^x e^(−λT) + λ^x p (1−p)^(x−1) e^(−λ t_x)."""
    x, recency, age = 2, 5.0, 9.0
    r, alpha, a, b = 0.7, 3.0, 1.4, 2.1

    def over_rate(until):
        return quad(lambda rate: rate ** (x + r - 1) * np.exp(-rate * (until + alpha)), 0, np.inf)[0]

    scale = alpha**r / quad(lambda rate: rate ** (r - 1) * np.exp(-rate), 0, np.inf)[0] / beta_function(a, b)
    by_hand = scale * (beta_function(a, b + x) * over_rate(age) + beta_function(a + 1, b + x - 1) * over_rate(recency))
    value = _log_likelihood(np.array([2.0]), np.array([recency]), np.array([age]))(np.log([r, alpha, a, b]))[0]
    assert value == pytest.approx(np.log(by_hand), rel=1e-7)


@pytest.mark.parametrize("a", [0.3, 0.5, 0.793, 1.0, 1.0 + 1e-8, 1.7, 4.0, 800.0])
@pytest.mark.parametrize("b", [0.2, 0.5, 2.426])
def test_expectations_by_integration(a, b):
    """E[Y(t)] while alive is the mean of (1 − ((α + T) / (α + T + p t))^(r+x)) / p over p of beta(a, b + x): no 2F1 in it."""
    r, alpha, time = 0.243, 4.414, 39.0
    model = BetaGeoNBD().at(r=r, alpha=alpha, a=a, b=b)
    for x, recency, age in ((0, 0.0, 20.0), (2, 30.43, 38.86), (150, 38.0, 38.86)):

        def orders(share, x=x, age=age):
            """Expected orders at that quantile of p."""
            p = max(betaincinv(a, b + x, share), 1e-300)
            return -np.expm1(-(r + x) * np.log1p(p * time / (alpha + age))) / p

        while_alive = quad(orders, 0, 1, epsabs=0, epsrel=1e-9, limit=200)[0]
        expected = model.conditional_expected_purchases(time, [x], [recency], [age]) / model.p_alive([x], [recency], [age])
        assert expected[0] == pytest.approx(while_alive, rel=1e-6)


def test_expectations_agree_with_what_drawn_customers_do():
    """Mean repeats of 40,000 drawn customers in their first 300 days, within four standard errors."""
    frequency, _, _ = draw_customers(40_000, **KNOWN, seed=9, ages=(300, 301))
    expected = BetaGeoNBD().at(**KNOWN).expected_purchases([300])[0]
    assert abs(frequency.mean() - expected) < 4 * frequency.std() / 200


def test_what_is_expected_on_average_is_what_is_expected_of_each():
    """E[X(T + t)] of a new customer = mean over histories of x + E[Y(t) | x, t_x, T], of customers of one age."""
    model = BetaGeoNBD().at(**KNOWN)
    history = draw_customers(40_000, **KNOWN, seed=10, ages=(200, 201))
    later = history[0] + model.conditional_expected_purchases(150, *history)
    assert abs(later.mean() - model.expected_purchases([350])[0]) < 4 * later.std() / 200


def test_expectations_rise_with_time_from_nothing(fitted, drawn):
    before = fitted.conditional_expected_purchases(0, *drawn)
    assert (before == 0).all()
    for time in (1e-9, 1, 30, 365, 3650):
        now = fitted.conditional_expected_purchases(time, *drawn)
        assert (now > before).all()
        before = now


def test_the_probability_to_be_alive(fitted, drawn):
    frequency = drawn[0]
    alive = fitted.p_alive(*drawn)
    assert ((alive > 0) & (alive <= 1)).all()
    assert (alive[frequency == 0] == 1).all()
    assert (alive[frequency > 0] < 1).all()
    # The longer ago the last order, the likelier a customer is gone; the more orders it had, the more so.
    assert (np.diff(fitted.p_alive([5] * 3, [300, 200, 100], [300] * 3)) < 0).all()
    assert fitted.p_alive([10_000], [100], [700])[0] == pytest.approx(0, abs=1e-12)


def test_days_or_weeks_give_the_same_answers(fitted, drawn):
    frequency, recency, age = drawn
    weeks = BetaGeoNBD().fit(frequency, recency / 7, age / 7)
    assert {**weeks.parameters_, "alpha": weeks.parameters_["alpha"] * 7} == pytest.approx(fitted.parameters_, rel=1e-8)
    assert weeks.p_alive(frequency, recency / 7, age / 7) == pytest.approx(fitted.p_alive(*drawn), rel=1e-8)
    in_days = fitted.conditional_expected_purchases(91, *drawn)
    assert weeks.conditional_expected_purchases(13, frequency, recency / 7, age / 7) == pytest.approx(in_days, rel=1e-8)
    # A density of x times: each of them is seven times as dense in weeks.
    assert weeks.log_likelihood_ - fitted.log_likelihood_ == pytest.approx(frequency.sum() * np.log(7))


def test_the_order_of_customers_changes_no_byte(drawn):
    few = [values[:1000] for values in drawn]
    shuffled = np.random.default_rng(2).permutation(1000)
    once, again = BetaGeoNBD().fit(*few), BetaGeoNBD().fit(*(values[shuffled] for values in few))
    assert again.parameters_ == once.parameters_
    assert (again.covariance_ == once.covariance_).all()
    assert again.log_likelihood_ == once.log_likelihood_


@pytest.mark.parametrize(("repeaters", "said"), [(0, "none"), (29, "29")])
def test_too_few_repeats_are_named(repeaters, said):
    x = np.r_[np.ones(repeaters), np.zeros(100)]
    with pytest.raises(
        DegenerateDataError, match=rf"BetaGeoNBD \(new\): {said} of {len(x)} customers ordered again, at least 30"
    ):
        BetaGeoNBD(label="new").fit(x, 3 * x, np.full(len(x), 9))


def test_customers_who_never_leave_have_no_maximum():
    """Poisson customers who order to the end: the chance to leave goes to its bound."""
    draw = np.random.default_rng(4)
    orders = draw.uniform(0, 300, (2000, 25))
    with pytest.raises(ConvergenceError, match=r"BetaGeoNBD \(regulars\): the likelihood grows up to the bounds"):
        BetaGeoNBD(label="regulars").fit(np.full(2000, 25), orders.max(axis=1), np.full(2000, 300))


@pytest.mark.parametrize(
    ("customer", "message"),
    [
        ((1, 12, 9), r"1 of 1 customers have a recency above their age, first frequency 1, recency 12, age 9"),
        ((1, 0, 9), "repeats without a recency above 0"),
        ((0, 3, 9), "a recency without repeats"),
        ((0.5, 3, 9), "frequency must be whole numbers"),
        ((-1, 0, 9), "at least 0"),
        ((1, np.nan, 9), "recency must be finite numbers"),
    ],
)
def test_numbers_that_are_none_of_a_customer_are_refused(customer, message):
    for take in (BetaGeoNBD().fit, BetaGeoNBD().at(**PUBLISHED).p_alive):
        with pytest.raises(ClvError, match=message):
            take(*([value] for value in customer))
