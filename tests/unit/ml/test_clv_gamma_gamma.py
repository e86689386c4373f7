import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import approx_fprime
from scipy.stats import gamma

from ml.clv.gamma_gamma import GammaGamma, _log_likelihood
from ml.clv.inputs import ClvError, ConvergenceError, DegenerateDataError
from tests.unit.ml.clv_customers import cdnow_customers, draw_values

KNOWN = {"p": 6.0, "q": 4.0, "v": 15.0}


@pytest.fixture(scope="module")
def drawn():
    frequency = np.random.default_rng(3).geometric(0.3, 5000) - 1
    return frequency, draw_values(frequency, **KNOWN, seed=4)


@pytest.fixture(scope="module")
def fitted(drawn):
    return GammaGamma().fit(*drawn)


@pytest.mark.real_data
def test_published_estimates_for_cdnow(real_data):
    customers = cdnow_customers(real_data)
    model = GammaGamma().fit(customers["frequency"], customers["mean_repeat_value"])
    assert model.customer_count_ == 946
    published = {"p": 6.25, "q": 3.74, "v": 15.44}
    assert model.parameters_ == {name: pytest.approx(value, abs=5e-3) for name, value in published.items()}
    assert model.log_likelihood_ == pytest.approx(-4055.918, abs=5e-3)
    assert model.population_mean() == pytest.approx(35.17, abs=0.02)


def test_known_parameters_come_back_within_their_standard_errors(fitted):
    errors = np.sqrt(np.diag(fitted.covariance_))
    assert (errors < 0.15).all()
    away = (np.log(list(fitted.parameters_.values())) - np.log(list(KNOWN.values()))) / errors
    assert (np.abs(away) < 3).all()


def test_the_gradient_is_that_of_the_likelihood(drawn):
    frequency, value = (values[drawn[0] > 0][:300] for values in drawn)
    log_likelihood = _log_likelihood(frequency.astype(float), value, np.ones(300))
    for point in np.random.default_rng(1).normal(0.5, 0.7, (5, 3)):
        by_differences = approx_fprime(point, lambda at: log_likelihood(at)[0], 1e-6)
        assert log_likelihood(point)[1] == pytest.approx(by_differences, rel=1e-4, abs=1e-2)


def test_likelihood_and_expectation_of_one_customer_by_integration():
    """A mean of x gamma(p, ν) values is gamma(p x, ν x); ν is gamma(q, v), and the expected value p / ν."""
    p, q, v = KNOWN.values()
    x, mean = 3, 22.0

    def joint(nu):
        return gamma.pdf(mean, p * x, scale=1 / (nu * x)) * gamma.pdf(nu, q, scale=1 / v)

    density = quad(joint, 0, 5)[0]
    value = _log_likelihood(np.array([3.0]), np.array([mean]), np.ones(1))(np.log([p, q, v]))[0]
    assert value == pytest.approx(np.log(density), rel=1e-7)
    expected = quad(lambda nu: p / nu * joint(nu), 1e-9, 5)[0] / density
    assert GammaGamma().at(**KNOWN).conditional_expected_value([x], [mean])[0] == pytest.approx(expected, rel=1e-6)


def test_the_expected_value_lies_between_the_own_mean_and_that_of_all():
    model = GammaGamma().at(**KNOWN)
    assert model.population_mean() == pytest.approx(30)
    by_orders = model.conditional_expected_value([0, 1, 5, 10_000], [90.0] * 4)
    assert by_orders[0] == pytest.approx(30)
    assert (np.diff(by_orders) > 0).all()
    assert by_orders[-1] == pytest.approx(90, rel=1e-2)


def test_customers_without_a_repeat_have_the_mean_of_all_and_change_no_fit(fitted, drawn):
    frequency, value = drawn
    expected = fitted.conditional_expected_value(frequency, value)
    assert expected[frequency == 0] == pytest.approx(fitted.population_mean())
    alone = GammaGamma().fit(frequency[frequency > 0], value[frequency > 0])
    assert alone.parameters_ == fitted.parameters_
    # A refund of all that was bought says nothing of the model, and of the customer that it is worth little.
    refunded = GammaGamma().fit(np.r_[frequency, 2, 2], np.r_[value, 0, -5])
    assert refunded.parameters_ == fitted.parameters_
    assert fitted.conditional_expected_value([2, 2], [0, -5]) == pytest.approx(fitted.conditional_expected_value([2, 2], [0, 0]))
    assert fitted.conditional_expected_value([2], [-5])[0] > 0


def test_the_currency_and_the_order_of_customers_do_not_matter(fitted, drawn):
    frequency, value = drawn
    cents = GammaGamma().fit(frequency, value * 100)
    assert {**cents.parameters_, "v": cents.parameters_["v"] / 100} == pytest.approx(fitted.parameters_, rel=1e-8)
    shuffled = np.random.default_rng(2).permutation(len(frequency))
    assert GammaGamma().fit(frequency[shuffled], value[shuffled]).parameters_ == fitted.parameters_


@pytest.mark.parametrize(("repeaters", "said"), [(0, "none"), (29, "29")])
def test_too_few_repeats_are_named(repeaters, said):
    frequency = np.r_[np.ones(repeaters), np.zeros(50), 1]
    value = np.r_[np.arange(1, repeaters + 1), np.full(50, np.nan), 0]
    with pytest.raises(
        DegenerateDataError, match=rf"GammaGamma \(new\): {said} of {len(value)} customers ordered again for a mean"
    ):
        GammaGamma(label="new").fit(frequency, value)


def test_the_fewest_customers_are_a_setting(fitted, drawn):
    count = fitted.customer_count_
    assert count == (drawn[0] > 0).sum()
    assert GammaGamma(minimum_customers=count).fit(*drawn).customer_count_ == count
    with pytest.raises(DegenerateDataError, match=f"at least {count + 1} are needed"):
        GammaGamma(minimum_customers=count + 1).fit(*drawn)


def test_values_without_a_mean_are_refused():
    frequency = np.full(4000, 3)
    with pytest.raises(DegenerateDataError, match=r"order values spread so far \(q = 0\.[5-9]\d*\) that they have no mean"):
        GammaGamma().fit(frequency, draw_values(frequency, p=6, q=0.7, v=15, seed=6))
    with pytest.raises(ClvError, match=r"no mean value exists with q = 0\.9"):
        GammaGamma().at(p=6, q=0.9, v=15).conditional_expected_value([1], [3])


def test_values_that_do_not_differ_have_no_maximum():
    with pytest.raises(ConvergenceError, match=r"GammaGamma \(subscribers of a box\)"):
        GammaGamma(label="subscribers of a box").fit(np.full(200, 3), np.full(200, 29.9))


@pytest.mark.parametrize(
    ("frequency", "value", "message"),
    [
        ([1, 1], [3.0], "mean_value must be 2 finite numbers"),
        ([1], [np.inf], "finite numbers or NaN"),
        ([1], ["much"], "mean_value must be numbers or NaN"),
        ([1], [np.nan], "mean_value is missing for 1 customers with repeats"),
        ([1.5], [3.0], "frequency must be whole numbers"),
    ],
)
def test_numbers_that_are_no_values_are_refused(frequency, value, message):
    with pytest.raises(ClvError, match=message):
        GammaGamma().at(**KNOWN).conditional_expected_value(frequency, value)
