import numpy as np
import pytest

from ml.clv.inputs import ClvError, ConvergenceError, require_columns, vector
from ml.clv.likelihood import delta_variance, maximise
from ml.clv.shifted_beta_geometric import ShiftedGeometric


def normal(point):
    """A normal log-likelihood with the top at log-parameters (1, −2) and the covariance diag(1/4, 1/9)."""
    away = point - (1, -2)
    return -0.5 * (4 * away[0] ** 2 + 9 * away[1] ** 2), -np.array([4, 9]) * away


def search(log_likelihood, starts=((1.0, 1.0),)):
    return maximise(log_likelihood, starts=starts, names=("first", "second"), size=1, subject="Model (plan basic)")


def test_the_top_and_its_curvature_are_found():
    maximum = search(normal)
    assert maximum.log_parameters == pytest.approx([1, -2], abs=1e-10)
    assert maximum.covariance == pytest.approx(np.diag([1 / 4, 1 / 9]))
    assert maximum.log_likelihood == pytest.approx(0, abs=1e-12)


def test_the_highest_of_two_tops_wins_from_whatever_start_it_is_found():
    def two_tops(point):
        """Tops near log-parameters (±2, 0), the right one higher."""
        x, y = point
        return -((x**2 - 4) ** 2) + x - y**2, np.array([-4 * x * (x**2 - 4) + 1, -2 * y])

    left, right = (np.exp(-2.0), 1.0), (np.exp(2.0), 1.0)
    assert search(two_tops, [left]).log_parameters[0] < 0
    for starts in ([left, right], [right, left]):
        assert search(two_tops, starts).log_parameters[0] == pytest.approx(2.03, abs=0.01)


def test_a_likelihood_that_grows_without_end_is_an_error_that_names_the_parameter():
    with pytest.raises(
        ConvergenceError, match=r"Model \(plan basic\): the likelihood grows up to the bounds \(second = 1e\+05\)"
    ):
        search(lambda point: (-((point[0] - 1) ** 2) + point[1], np.array([-2 * (point[0] - 1), 1.0])))


def test_a_likelihood_that_is_nowhere_finite_is_an_error():
    with pytest.raises(ConvergenceError, match="no start led to a finite likelihood"):
        search(lambda point: (np.nan, np.nan * point))


def test_a_likelihood_flat_in_one_direction_has_no_maximum():
    with pytest.raises(ConvergenceError, match="has no maximum"):
        search(lambda point: (-((point.sum() - 1) ** 2), np.full(2, -2 * (point.sum() - 1))))


def test_a_gradient_that_never_vanishes_is_an_error():
    """The slope jumps across the ridge: the value is greatest at 0 and yet no step comes to rest there."""
    with pytest.raises(ConvergenceError):
        search(lambda point: (-np.abs(point).sum() - 1e-9 * (point**2).sum(), -np.sign(point + 0.3) - 2e-9 * point))


def test_the_delta_method_gives_the_variance_of_a_rate():
    """θ of n renewals has the variance θ (1 − θ) / n, and here it is a function of the logarithm of its odds."""
    model = ShiftedGeometric().fit([1], [30], [70])
    assert model.survival([1, 2]) == pytest.approx([0.7, 0.49])
    variance = delta_variance(model, lambda at: at.survival([1, 2]))
    assert variance == pytest.approx([0.3 * 0.7 / 100, (2 * 0.7) ** 2 * 0.3 * 0.7 / 100])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1, None], "m: x must be finite numbers and at least 0; 1 of 2 are not, first nan"),
        ([1, np.inf], "first inf"),
        ([3, -1], "first -1"),
        (["many"], "x must be numbers without NULLs"),
        ([[1]], "must have one dimension, not 2"),
    ],
)
def test_vectors_off_their_limits_are_refused(values, message):
    with pytest.raises(ClvError, match=message):
        vector(values, "x", "m", lowest=0)
    assert vector([0, 1.5], "x", "m", lowest=0).tolist() == [0, 1.5]


def test_parts_are_no_counts():
    with pytest.raises(ClvError, match=r"must be whole numbers; 1 of 2 are not, first 1\.5"):
        vector([1, 1.5], "x", "m", whole=True)


def test_columns_missing_or_there_twice_are_refused(short_history):
    require_columns(short_history, ["account_id"], "m")
    with pytest.raises(ClvError, match="column 'person_id' is missing"):
        require_columns(short_history, ["person_id"], "m")
    twice = short_history[["account_id", "account_id"]]
    with pytest.raises(ClvError, match="column 'account_id' is there more than once"):
        require_columns(twice, ["account_id"], "m")
