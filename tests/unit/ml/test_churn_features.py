import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from ml.churn.features import (
    FEATURE_NAMES,
    FEATURES,
    GROUP_OF_FEATURE,
    GROUPS,
    INDICATORS,
    TRAITS,
    FeatureError,
    in_key_order,
    matrix,
)


@pytest.fixture
def rows(short_history):
    return short_history.head(50).copy()


def test_the_schema_names_each_feature_once_and_only_known_indicators():
    assert len(set(FEATURE_NAMES)) == len(FEATURES) == 21
    assert {feature.indicator for feature in FEATURES} <= {*INDICATORS, None}
    assert {feature.indicator for feature in FEATURES} >= set(INDICATORS)
    assert [GROUPS[group] for group in GROUP_OF_FEATURE] == [feature.indicator or TRAITS for feature in FEATURES]
    assert all(feature.description and feature.unit for feature in FEATURES)


def test_matrix_keeps_values_and_turns_null_into_nan(rows):
    rows["seats"] = pd.array([None, *range(49)], dtype="Int64")  # what DuckDB returns for a BIGINT with NULLs
    rows["is_annual"] = rows["is_annual"].astype(bool)
    values = matrix(rows)
    assert values.shape == (50, len(FEATURES))
    assert np.isnan(values[0, FEATURE_NAMES.index("seats")])
    assert values[1:, FEATURE_NAMES.index("seats")].tolist() == list(range(49))
    assert values[:, FEATURE_NAMES.index("mrr_usd")].tolist() == rows["mrr_usd"].tolist()


@pytest.mark.parametrize("name", FEATURE_NAMES)
def test_a_missing_feature_is_refused_by_name(rows, name):
    with pytest.raises(FeatureError, match=f"'{name}' is missing"):
        matrix(rows.drop(columns=name))


@pytest.mark.parametrize("name", FEATURE_NAMES)
def test_a_feature_that_is_not_numeric_is_refused_by_name(rows, name):
    with pytest.raises(FeatureError, match=f"'{name}' must be numeric"):
        matrix(rows.assign(**{name: "3"}))


@pytest.mark.parametrize("name", FEATURE_NAMES)
@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_an_infinite_value_is_refused_by_name(rows, name, value):
    rows[name] = rows[name].astype(float)
    rows.loc[3, name] = value
    with pytest.raises(FeatureError, match=f"'{name}' is infinite in 1 rows"):
        matrix(rows)


@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.name)
def test_null_is_refused_by_name_except_where_it_means_something(rows, feature):
    rows[feature.name] = rows[feature.name].astype(float)
    rows.loc[3, feature.name] = np.nan
    if feature.nullable:
        assert np.isnan(matrix(rows)[3, FEATURE_NAMES.index(feature.name)])
    else:
        with pytest.raises(FeatureError, match=f"'{feature.name}' is NULL in 1 rows"):
            matrix(rows)


def test_a_column_that_is_there_twice_is_refused(rows):
    with pytest.raises(FeatureError, match="'seats' is there more than once"):
        matrix(pd.concat([rows, rows[["seats"]]], axis=1))


def test_rows_are_sorted_by_key(rows):
    pd.testing.assert_frame_equal(in_key_order(rows.sample(frac=1, random_state=1)), in_key_order(rows))
    assert in_key_order(rows)["account_id"].is_monotonic_increasing


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"as_of_date": pd.NaT}, "'as_of_date' is NULL"),
        ({"as_of_date": "2024-01-01"}, "'as_of_date' must hold dates"),
        ({"as_of_date": pd.Timestamp("2024-01-01", tz="UTC")}, "'as_of_date' must hold dates"),
        ({"as_of_date": pd.Timestamp("2024-01-01 08:00")}, "'as_of_date' must hold whole days"),
        ({"account_id": None}, "'account_id' is NULL"),
        ({"account_id": 7}, "'account_id' must hold text"),
    ],
)
def test_a_key_of_another_kind_is_refused(rows, change, message):
    with pytest.raises(FeatureError, match=message):
        in_key_order(rows.assign(**change))


@pytest.mark.parametrize("name", ["as_of_date", "account_id"])
def test_a_missing_key_is_refused(rows, name):
    with pytest.raises(FeatureError, match=f"'{name}' is missing"):
        in_key_order(rows.drop(columns=name))


def test_a_repeated_key_is_refused_and_named(rows):
    with pytest.raises(FeatureError, match=r"1 rows repeat a key \(as_of_date, account_id\), first 2024-01-01, 'a00004'"):
        in_key_order(pd.concat([rows, rows.iloc[[4]]]))


def test_reading_the_schema_loads_no_heavy_library():
    code = (
        "import sys, ml.churn, ml.churn.features, ml.churn.artifact, ml.churn.evaluation, ml.churn.drift, ml.churn.report\n"
        "print([name for name in "
        "('sklearn', 'skops', 'pandas', 'scipy', 'matplotlib', 'dagster', 'duckdb', 'dbt') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
