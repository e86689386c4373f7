import json

import numpy as np
import pytest

from ml.churn.drift import MINIMUM_ROWS, SCORE, drift, reference
from ml.churn.features import FEATURE_NAMES


@pytest.fixture(scope="module")
def learnt(short_history):
    then = short_history.head(2000)
    return json.loads(json.dumps(reference(then, np.linspace(0.01, 0.4, 2000)), allow_nan=False))


@pytest.fixture
def later(short_history):
    return short_history.tail(1200)


def scores(frame):
    return np.linspace(0.01, 0.4, len(frame))


def psi(found, name):
    return next(column.psi for column in found.columns if column.name == name)


def test_what_the_model_learnt_from_has_not_drifted(learnt, short_history):
    found = drift(short_history.head(2000), scores(short_history.head(2000)), learnt)
    assert (found.drifted, found.out_of_range, found.off_schema) == ((), (), {})
    assert [column.name for column in found.columns] == [*FEATURE_NAMES, SCORE]
    assert max(column.psi for column in found.columns) == pytest.approx(0, abs=1e-12)
    assert (found.rows, found.reference_rows) == (2000, 2000)


def test_more_of_the_same_does_not_drift(learnt, later):
    assert drift(later, scores(later), learnt).drifted == ()


def test_each_moved_column_is_named_and_no_other(learnt, later):
    moved = later.assign(mrr_usd=later["mrr_usd"] * 2, is_annual=1 - later["is_annual"])
    assert drift(moved, scores(moved) ** 2, learnt).drifted == ("is_annual", "mrr_usd", SCORE)


def test_the_index_is_that_of_the_definition(learnt, later):
    """Of a column of zeros and ones, by hand: half a row more in each bin."""
    found = drift(later.assign(is_past_due=np.arange(1200) % 4 == 0), scores(later), learnt)
    share = learnt["is_past_due"]["shares"]
    assert len(share) == len(learnt["is_past_due"]["edges"]) + 2
    # So rare that all tenths lie at 0: one edge, at 0.
    assert learnt["is_past_due"]["edges"] == [0.0]
    was = (np.array(share[:2]) * 2000 + 0.5) / 2001
    now = np.array([900.5, 300.5]) / 1201
    assert psi(found, "is_past_due") == pytest.approx(((now - was) * np.log(now / was)).sum(), rel=1e-12)


def test_bins_are_about_tenths_of_what_was_learnt_and_null_is_one_more(learnt):
    described = learnt["mrr_usd"]
    assert described["shares"] == pytest.approx([0.1] * 10 + [0], abs=0.03)
    assert learnt["seats"]["shares"][-1] == pytest.approx(0.1, abs=0.03)
    for each in learnt.values():
        assert sum(each["shares"]) == pytest.approx(1)


def test_prices_that_follow_the_exchange_rate_do_not_drift_until_they_move_far(short_history, later):
    def priced(frame, rate):
        return frame.assign(mrr_usd=np.array([99.0, 399.0, 1499.0])[np.arange(len(frame)) % 3] * rate)

    then = short_history.head(2000)
    learnt = reference(priced(then, np.linspace(0.139, 0.141, 2000)), scores(then))
    assert drift(priced(later, 0.144), scores(later), learnt).drifted == ()
    assert drift(priced(later, 0.150), scores(later), learnt).drifted == ("mrr_usd",)


def test_more_nulls_are_drift(learnt, later):
    half = later.assign(seats=later["seats"].mask(np.arange(len(later)) % 2 == 0))
    found = drift(half, scores(half), learnt)
    assert found.drifted == ("seats",)
    seats = next(column for column in found.columns if column.name == "seats")
    assert seats.null_share > 0.5 > seats.reference_null_share


def test_a_column_never_known_before_is_drift_and_out_of_range(short_history, later):
    never = reference(short_history.head(2000).assign(seats=np.nan), scores(short_history.head(2000)))
    found = drift(later, scores(later), never)
    assert (found.drifted, found.out_of_range[-1]) == (("seats",), "seats")
    assert drift(later.assign(seats=np.nan), scores(later), never).drifted == ()


def test_values_beyond_all_that_was_learnt_are_counted(learnt, later):
    rows = later.assign(streak_days=later["streak_days"].clip(upper=2))
    rows.iloc[:3, rows.columns.get_loc("streak_days")] = [999, -1, 999]
    found = drift(rows, scores(rows), learnt)
    assert "streak_days" in found.out_of_range
    assert next(column.out_of_range for column in found.columns if column.name == "streak_days") == 3


def test_columns_off_the_schema_are_named_and_the_others_compared(learnt, later):
    rows = later.drop(columns="tickets_30d").assign(seats="many", mrr_usd=later["mrr_usd"].mask(later.index == later.index[0]))
    found = drift(rows, scores(rows), learnt)
    assert list(found.off_schema) == ["tickets_30d", "mrr_usd", "seats"]
    assert "missing" in found.off_schema["tickets_30d"]
    assert "must be numeric" in found.off_schema["seats"]
    assert "NULL in 1 rows" in found.off_schema["mrr_usd"]
    assert len(found.columns) == len(FEATURE_NAMES) + 1 - 3


def test_few_rows_get_figures_and_no_verdict(learnt, later):
    rows = later.head(MINIMUM_ROWS - 1).assign(is_annual=1)
    found = drift(rows, scores(rows), learnt)
    assert found.drifted is None
    assert psi(found, "is_annual") > 0.2
    enough = later.head(MINIMUM_ROWS).assign(is_annual=1)
    assert drift(enough, scores(enough), learnt).drifted is not None
    assert drift(later.head(0), np.empty(0), learnt).drifted is None


def test_as_few_rows_as_get_a_verdict_rarely_raise_a_false_alarm(learnt, short_history):
    """Where nothing moved: 100 draws of the fewest rows, 22 columns each; the docstring's rate promises two alarms or so."""
    draw = np.random.default_rng(6)
    alarms = 0
    for _ in range(100):
        rows = short_history.head(2000).iloc[draw.choice(2000, MINIMUM_ROWS)]
        alarms += len(drift(rows, draw.choice(scores(range(2000)), MINIMUM_ROWS), learnt).drifted)
    assert alarms <= 8


@pytest.mark.parametrize("parameters", [{"threshold": 0.0}, {"threshold": float("nan")}, {"minimum_rows": 0}])
def test_a_parameter_out_of_range_is_refused(learnt, later, parameters):
    with pytest.raises(ValueError, match="drift: threshold"):
        drift(later, scores(later), learnt, **parameters)


def test_what_is_no_comparison_is_refused(learnt, later):
    with pytest.raises(ValueError, match="one for each of 1200 rows"):
        drift(later, scores(later)[1:], learnt)
    with pytest.raises(ValueError, match="lacks seats"):
        drift(later, scores(later), {name: each for name, each in learnt.items() if name != "seats"})
    with pytest.raises(ValueError, match="at least one row"):
        reference(later.head(0), np.empty(0))
