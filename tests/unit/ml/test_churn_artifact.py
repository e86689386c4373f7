import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from ml.churn.artifact import _TRUSTED, ArtifactError, card, check_golden, digest, dump, golden, load, model_id
from ml.churn.features import FEATURE_NAMES
from ml.churn.model import ChurnModel, score
from ml.churn.training import train


@pytest.fixture(scope="module")
def artefact(small):
    return dump(small.model)


def rewritten(data, change):
    """Change the text of the archive's schema."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(target, "w") as written:
        for name in source.namelist():
            content = source.read(name)
            written.writestr(name, change(content.decode()).encode() if name == "schema.json" else content)
    return target.getvalue()


def test_boosting_survives_the_round_trip_bit_for_bit(boosted, nonlinear_history):
    frame = nonlinear_history.head(2000)
    data = dump(boosted.model)
    loaded = load(data, sha256=digest(data))
    assert np.array_equal(loaded.predict_proba(frame), boosted.model.predict_proba(frame))
    pd.testing.assert_frame_equal(score(loaded, frame), score(boosted.model, frame), check_exact=True)
    assert dump(loaded) == data
    check_golden(loaded, golden(boosted.model, frame))


def test_each_type_on_the_allow_list_is_needed(artefact, boosted):
    needed = {name for data in (artefact, dump(boosted.model)) for name in skops.io.get_untrusted_types(data=data)}
    assert needed == set(_TRUSTED)


def test_a_model_survives_the_round_trip_bit_for_bit(small, short_history, artefact):
    loaded = load(artefact, sha256=digest(artefact))
    assert np.array_equal(loaded.predict_proba(short_history), small.model.predict_proba(short_history))
    assert dump(loaded) == artefact


def test_the_same_training_gives_the_same_bytes(short_history, artefact):
    again = dump(train(short_history.sample(frac=1, random_state=9), minimum_churns=20, origins=0).model)
    assert digest(again) == digest(artefact)


def test_another_process_with_another_hash_seed_gives_the_same_bytes(artefact, short_history):
    labels = short_history["churned"]
    boosting = ChurnModel(kind="boosting").fit(short_history, labels, later_features=short_history, later_churned=labels)
    code = (
        "from conftest import *\n"
        "from ml.churn.artifact import dump, digest\n"
        "from ml.churn.model import ChurnModel\n"
        "from ml.churn.training import train\n"
        "rows = accounts_by_month(logistic_hazard, accounts=400, months=8, seed=11)\n"
        "print(digest(dump(train(rows, minimum_churns=20, origins=0).model)))\n"
        "labels = rows['churned']\n"
        "boosting = ChurnModel(kind='boosting').fit(rows, labels, later_features=rows, later_churned=labels)\n"
        "print(digest(dump(boosting)))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parent,
        env={**os.environ, "PYTHONHASHSEED": "4711", "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    assert ran.stdout.split() == [digest(artefact), digest(dump(boosting))]


def test_other_data_gives_another_model(short_history, artefact):
    assert dump(train(short_history, minimum_churns=20, origins=0, l2=2.0).model) != artefact


@pytest.mark.parametrize("place", [0, 0.3, 0.6, 1])
def test_one_changed_byte_is_refused(artefact, place):
    position = min(int(place * len(artefact)), len(artefact) - 1)
    tampered = artefact[:position] + bytes([artefact[position] ^ 1]) + artefact[position + 1 :]
    with pytest.raises(ArtifactError, match=r"SHA-256 is .*expected"):
        load(tampered, sha256=digest(artefact))


def test_a_foreign_type_is_refused_though_its_hash_is_right():
    data = skops.io.dumps(make_pipeline(FunctionTransformer(os.path.basename), LogisticRegression()))
    with pytest.raises(ArtifactError, match=r"outside the allow-list: .*basename"):
        load(data, sha256=digest(data))


def test_a_foreign_function_inside_a_churn_model_is_refused(artefact):
    data = rewritten(artefact, lambda schema: schema.replace('"signed_log"', '"system"').replace('"ml.churn.model"', '"os"', 1))
    with pytest.raises(ArtifactError, match="outside the allow-list"):
        load(data, sha256=digest(data))


def test_a_trusted_type_that_is_no_churn_model_is_refused():
    data = skops.io.dumps(LogisticRegression())
    with pytest.raises(ArtifactError, match="holds a LogisticRegression, not a ChurnModel"):
        load(data, sha256=digest(data))


def test_another_version_of_scikit_learn_is_refused(artefact):
    data = rewritten(artefact, lambda schema: schema.replace('"1.9.1\\"', '"1.8.0\\"'))
    assert data.count(b"1.8.0") > 0
    with pytest.raises(ArtifactError, match=r"written by other versions: .*1\.8\.0"):
        load(data, sha256=digest(data))


def test_another_feature_schema_is_refused(artefact):
    data = rewritten(artefact, lambda schema: schema.replace("events_7d", "logins_7d"))
    with pytest.raises(ArtifactError, match="another feature schema"):
        load(data, sha256=digest(data))


@pytest.mark.parametrize("data", [b"", b"no archive", rewritten.__name__.encode()])
def test_what_is_no_archive_is_refused(data):
    with pytest.raises(ArtifactError, match="no skops archive"):
        load(data, sha256=digest(data))


def test_an_archive_without_its_arrays_is_refused(artefact):
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(artefact)) as source, zipfile.ZipFile(target, "w") as written:
        written.writestr("schema.json", source.read("schema.json"))
    data = target.getvalue()
    with pytest.raises(ArtifactError, match="no skops archive"):
        load(data, sha256=digest(data))


def test_the_card_says_what_the_model_is(small, artefact):
    sha256 = digest(artefact)
    described = card(small, sha256=sha256)
    assert json.loads(json.dumps(described, allow_nan=False)) == described
    assert described["model_id"] == model_id(sha256) == sha256[:12]
    assert described["data_window"]["from"] == "2024-01-01"
    assert list(described["slices"]) == ["fit", "calibration", "test"]
    assert described["slices"]["test"]["churned_rows"] == described["metrics"]["churned"]
    assert described["metrics"]["log_loss"] == small.metrics.log_loss
    assert described["decision"]["accepted"] is small.decision.accepted
    assert described["decision"]["calibration"]["intercept"] == described["metrics"]["calibration_intercept"]
    assert 0.01 < described["decision"]["calibration"]["p_value"] <= 1
    assert [feature["name"] for feature in described["features"]] == list(FEATURE_NAMES)
    assert described["versions"]["scikit-learn"] == "1.9.1"
    assert described["label"]["window_days"] == 30
    assert described["parameters"]["intervention"] == {"cost_usd": 50.0, "success_rate": 0.2}
    assert list(described["choice"]["slices"]) == ["fit", "calibration", "choice"]
    assert set(described["choice"]["figures"]) == {"logistic", "boosting"}
    assert described["choice"]["kind"] == described["parameters"]["kind"] == small.model.kind
    origins = described["rolling_origin"]["origins"]
    assert [origin["window_from"] for origin in origins] == [str(origin.window_from) for origin in small.rolling.origins]
    assert described["rolling_origin"]["pooled"]["metrics"]["rows"] == sum(origin["metrics"]["rows"] for origin in origins)
    assert list(described["reference"]) == [*FEATURE_NAMES, "churn_probability"]
    assert sum(each["rows"] for each in described["metrics"]["bins"]) == described["metrics"]["rows"]
    assert set(described["baselines"]) == {"base_rate", "recent_rate", "usage_rule"}


def test_golden_rows_hold_through_json_and_the_artefact(small, short_history, artefact):
    rows = json.loads(json.dumps(golden(small.model, short_history), allow_nan=False))
    assert len(rows) == 20
    assert "account_id" not in rows[0]
    predicted = [row["churn_probability"] for row in rows]
    everyone = small.model.predict_proba(short_history)[:, 1]
    assert predicted == sorted(predicted)
    assert (predicted[0], predicted[-1]) == pytest.approx((everyone.min(), everyone.max()), abs=1e-12)
    check_golden(load(artefact, sha256=digest(artefact)), rows)


def test_few_rows_are_all_golden(small, short_history):
    assert len(golden(small.model, short_history.head(3))) == 3
    with pytest.raises(ArtifactError, match="at least one row"):
        golden(small.model, short_history.head(0))


def test_a_golden_row_that_is_predicted_otherwise_is_detected(small, short_history):
    rows = golden(small.model, short_history)
    rows[7]["churn_probability"] += 2e-9
    with pytest.raises(ArtifactError, match="1 of 20 golden rows are predicted otherwise"):
        check_golden(small.model, rows)


def test_golden_rows_of_another_model_are_detected(small, short_history):
    labels = short_history["churned"]
    other = ChurnModel(l2=50.0).fit(short_history, labels, later_features=short_history, later_churned=labels)
    with pytest.raises(ArtifactError, match="predicted otherwise"):
        check_golden(other, golden(small.model, short_history))


def test_golden_rows_that_prove_nothing_are_refused(small, short_history):
    with pytest.raises(ArtifactError, match="no golden rows"):
        check_golden(small.model, [])
    rows = golden(small.model, short_history)
    rows[0]["churn_probability"] = None
    with pytest.raises(ArtifactError, match="no churn_probability"):
        check_golden(small.model, rows)


def test_scoring_takes_what_duckdb_returns(small, short_history):
    import duckdb

    rows = short_history.drop(columns=["hazard"]).assign(seats=short_history["seats"].astype("Int64"))
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone='UTC'")
        connection.register("rows_frame", rows)
        typed = connection.sql(
            "select * replace (as_of_date::date as as_of_date, mrr_usd::decimal(18,4) as mrr_usd, seats::bigint as seats) "
            "from rows_frame"
        ).df()
    pd.testing.assert_series_equal(
        score(small.model, typed)["churn_probability"], score(small.model, short_history)["churn_probability"], atol=1e-9, rtol=0
    )
