from datetime import date
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.churn.slices import CHOSEN_AND_JUDGED, JUDGED, TAUGHT, NotEnoughHistory, split


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


def expected_days(days, window, number):
    """Say which days each of `number` slices takes when every day holds enough, in plain lists; None when there are too few."""
    size = max(1, len(days) // (number + 2))
    slices = [days[-size:]]
    for position in range(1, number):
        free = [day for day in days if slices[0] and day + window <= slices[0][0]]
        slices.insert(0, free if position == number - 1 else free[-size:])
    return slices if slices[0] else None


@settings(max_examples=50)
@given(
    days=st.sets(st.integers(0, 400), max_size=60),
    window=st.integers(1, 60),
    minimum=st.integers(2, 3),
    names=st.sampled_from([TAUGHT, JUDGED, CHOSEN_AND_JUDGED]),
)
def test_every_label_window_closes_before_the_next_slice_begins(days, window, minimum, names):
    frame, expected = labelled(days), expected_days(sorted(days), window, len(names))
    if expected is None:
        with pytest.raises(NotEnoughHistory, match=f"{len(days)} closed as-of dates"):
            split(frame, names, label_window_days=window, minimum_churns=minimum)
        return
    slices = split(frame, names, label_window_days=window, minimum_churns=minimum)
    assert tuple(part.name for part in slices) == names
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
